"""Where was it shown that a bundle answers as it did in development? A certificate for each kind of machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from trueup.bundle.environment import locked_versions
from trueup.bundle.golden import Replay
from trueup.bundle.layout import EVIDENCE_FOLDER
from trueup.kernel.digests import canonical_json, digest_of, finite_or_none

_NAMED = ("numpy", "pandas", "scikit-learn", "lightgbm", "xgboost-cpu", "onnxruntime", "pyarrow")


@dataclass(frozen=True)
class ParityCertificate:
    """What a replay of the golden rows found on one machine."""

    bundle: str
    """Digest of the bundle."""
    machine: Mapping[str, str]
    """Operating system, processor and C library."""
    versions: Mapping[str, str]
    """Python and the libraries that compute."""
    rows: int
    differing: int
    largest_difference: float | None
    """None where it is infinite."""
    decisions_differ: int | None
    """None where the bundle has no cut-off to compare at."""
    predictor: str = "original"
    """What answered: compiled, onnx, hybrid or original."""
    tolerance: float = 0.0
    """Difference a row may have, relative where the recorded number is above 1; 0: the last bit counts."""

    @property
    def path(self) -> str:
        """Return the certificate's path in the bundle: one for each machine and set of versions."""
        return f"{EVIDENCE_FOLDER}/parity-{digest_of([self.machine, self.versions])[:12]}.json"

    @property
    def content(self) -> bytes:
        """Return the certificate as JSON."""
        return canonical_json(asdict(self)).encode()


def certify(
    replay: Replay, *, bundle: str, lock: str, predictor: str = "original", tolerance: float = 0.0
) -> ParityCertificate:
    """Return the certificate of a replay that ran on this machine, in the environment of `lock`."""
    return ParityCertificate(
        bundle=bundle,
        machine=this_machine(),
        versions=named_versions(lock),
        rows=replay.rows,
        differing=replay.differing,
        largest_difference=finite_or_none(replay.largest_difference),
        decisions_differ=replay.decisions_differ,
        predictor=predictor,
        tolerance=tolerance,
    )


def named_versions(lock: str) -> dict[str, str]:
    """Return the versions of Python and of the libraries that compute, from an ``environment.lock``."""
    versions = locked_versions(lock)
    return {name: versions[name] for name in ("python", *_NAMED) if name in versions}


def this_machine() -> dict[str, str]:
    """Return what about this machine may change a floating-point result; no host name."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "implementation": platform.python_implementation(),
    }


def read_certificates(bundle: Path) -> tuple[ParityCertificate, ...]:
    """Return the certificates that lie beside a bundle's content, oldest first; none where it has no evidence.

    Evidence is not signed: a certificate tells what was found and where, and whoever loads the bundle replays anew. One
    that cannot be read, or is of another bundle, is left out.
    """
    files = sorted((bundle / EVIDENCE_FOLDER).glob("parity-*.json"), key=lambda file: (file.stat().st_mtime_ns, file))
    found = (read_evidence(file.read_bytes(), ParityCertificate) for file in files)
    return tuple(certificate for certificate in found if certificate and certificate.bundle == bundle.name)


def describe_certificate(certificate: ParityCertificate) -> str:
    """Return a certificate as one sentence: rows, largest difference, machine and versions."""
    same = certificate.rows - certificate.differing
    all_of = "all " if certificate.differing == 0 else f"{same:,} of "
    largest = "infinite" if certificate.largest_difference is None else f"{certificate.largest_difference:.3g}"
    decisions = (
        "" if certificate.decisions_differ is None else f", decisions that differ {certificate.decisions_differ:,}"
    )
    where = " ".join(certificate.machine.get(name, "") for name in ("system", "machine")).strip()
    versions = ", ".join(f"{name} {version}" for name, version in certificate.versions.items())
    return (
        f"Bundle {certificate.bundle[:12]} ({certificate.predictor}) gave {all_of}{certificate.rows:,} golden rows as "
        f"in development, largest difference {largest}{decisions} ({where}, {versions})"
    )


class Evidence(Protocol):
    """A record that lies beside a bundle as JSON."""

    @property
    def content(self) -> bytes:
        """Return it as JSON."""


E = TypeVar("E", bound=Evidence)


def read_evidence(content: bytes, kind: type[E]) -> E | None:
    """Return the record that these very bytes are; None where they are anything else."""
    try:
        record = msgspec.json.decode(content, type=kind)
        return record if record.content == content else None
    except (ValueError, RecursionError):
        return None
