"""How does a server prove who it is? A context for TLS from the files an operator has."""

from __future__ import annotations

import ssl
from pathlib import Path

from trueup.serve.errors import BadCertificate


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a context for TLS 1.2 and newer from PEM files: the certificate with its chain, and its unencrypted key.

    Raises
    ------
    BadCertificate
        If a file cannot be read, is no PEM, is encrypted, or the key is not the certificate's.
    """
    for path in (certificate, key):
        if not path.is_file():
            raise BadCertificate(f"{path} is no file; give the PEM files of the certificate and of its key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_refuse_to_ask)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "an encrypted key"
        raise BadCertificate(
            f"{certificate} and {key} cannot be used for TLS ({reason}); give a certificate and its own key as PEM, "
            "the key unencrypted"
        ) from error
    return context


def _refuse_to_ask() -> str:
    raise ValueError("a server has nobody to ask for the password of a key")
