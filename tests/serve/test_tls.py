"""Does a caller get its answer over TLS, and an operator a clear word when the files are wrong?"""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.serve.raw_http import Caller, a_front, get, post

from trueup.serve.errors import BadCertificate
from trueup.serve.tls import tls_context


def certified(folder: Path, name: str = "server", *, password: bytes | None = None) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    return certificate, private


def test_requests_are_answered_over_tls_and_a_refusal_arrives(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)

    async def play() -> None:
        async with a_front(tls=tls_context(certificate, key)) as place:
            trusting = ssl.create_default_context(cafile=certificate)
            caller: Caller = await place.caller(ssl=trusting, server_hostname="localhost")
            assert (await caller.asks(post(b"x" * 200_000))).body == b"POST|/||" + b"x" * 200_000
            assert (await caller.asks(get("/last", "Connection: close"))).body == b"GET|/last||"
            assert await caller.rest() == b""
            refused = await place.caller(ssl=trusting, server_hostname="localhost")
            assert (await refused.asks(b"nonsense\r\n\r\n")).status == 400
            place.now += 10
            place.front.expire(place.now)
            assert await refused.rest() == b""
            await asyncio.sleep(0)

    uvloop.run(play())


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    certificate, _ = certified(tmp_path)
    _, other = certified(tmp_path, "other")
    _, locked = certified(tmp_path, "locked", password=b"secret")
    for bad, word in (
        (tmp_path / "none.key", "no file"),
        (other, "MISMATCH"),
        (locked, "encrypted"),
        (certificate, "PEM"),
    ):
        with pytest.raises(BadCertificate, match=word):
            tls_context(certificate, bad)
