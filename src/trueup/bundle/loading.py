"""Is this bundle what it says, and whose is it? Verified first, executed only then."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.candidates import Offer
from trueup.bundle.environment import EnvironmentDifference, compare_environment, lock_environment
from trueup.bundle.errors import BadManifest, BundleRefused, FilesDiffer
from trueup.bundle.fast_answers import FastAnswers
from trueup.bundle.golden import GoldenRow, Output, Replay, compare_outputs, parse_golden, refuse_differences
from trueup.bundle.layout import (
    EVIDENCE_FOLDER,
    GOLDEN,
    LOCK,
    MANIFEST,
    PLAN,
    PREDICTOR_FOLDER,
    SIGNATURE,
    is_evidence_path,
)
from trueup.bundle.manifest import Manifest, parse_manifest
from trueup.bundle.parity import ParityCertificate, certify
from trueup.bundle.predictors.opening import open_compiled
from trueup.bundle.predictors.predictor import parse_plan
from trueup.bundle.proof import refuse_apart, replay_predictor
from trueup.bundle.scoring import ModelProcess
from trueup.bundle.signing import verify_signature
from trueup.kernel.digests import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

MOST_MANIFEST_BYTES = 64 * 1024 * 1024
_NAMED_BY_DIGEST = re.compile(r"[0-9a-f]{64}")


def verify_bundle(
    path: Path, *, trusted_keys: Sequence[Path], digest: str | None = None, today: date | None = None
) -> Manifest:
    """Return the manifest of a bundle after everything about it was checked; see `verify_signed`."""
    return verify_signed(path, trusted_keys=trusted_keys, digest=digest, today=today)[0]


def verify_signed(
    path: Path, *, trusted_keys: Sequence[Path], digest: str | None = None, today: date | None = None
) -> tuple[Manifest, Path]:
    """Return manifest and signer of a bundle after everything about it was checked. Nothing of it is executed.

    Parameters
    ----------
    path : Path
        Folder of the bundle.
    trusted_keys : sequence of Path
        Public keys (PEM); the signature must be of one of them.
    digest : str, optional
        The bundle's name, where the caller knows it; a folder that is named by a digest must hold that bundle anyway.
    today : date, optional
        The day in UTC, for keys that are trusted until a day (`trust`); without it such a key is refused.

    Returns
    -------
    manifest : Manifest
    key : Path
        The trusted key that signed it.

    Raises
    ------
    FilesDiffer
        A file is changed, missing, extra, a link or no plain file, or this is another bundle than its name says.
    BadManifest
        The manifest cannot be read or lists a path that leaves the bundle.
    BadSignature
        No trusted key signed exactly these files.
    KeyExpired, KeyRevoked
        The key that signed is not trusted any more.
    """
    present = _list_files(path)
    manifest = _read_manifest(path, present)
    wanted = digest or (path.name if _NAMED_BY_DIGEST.fullmatch(path.name) else None)
    if wanted is not None and manifest.digest != wanted:
        raise FilesDiffer(
            f"bundle {wanted[:12]} is refused: its manifest is that of {manifest.digest[:12]}", seen=manifest.digest
        )
    _compare_lists(path, present, manifest)
    for name, expected in manifest.files.items():
        _compare_digest(path, name, expected)
    if manifest.lock_digest != manifest.files[LOCK]:
        raise BadManifest(f"bundle {path.name[:12]} is refused: its manifest names two digests of {LOCK}")
    return manifest, verify_signature(path, trusted_keys=trusted_keys, today=today)


def is_intact(path: Path, *, trusted_keys: Sequence[Path], today: date | None = None) -> bool:
    """Return whether a whole bundle of a trusted key lies there; it stays then, with the evidence beside it."""
    try:
        verify_bundle(path, trusted_keys=trusted_keys, today=today)
    except BundleRefused:
        return False
    return True


class Answering(Protocol):
    """What answers for a bundle: a predictor in this process, or a process that holds the model."""

    def score_requests(self, requests: Sequence[str]) -> list[Output]:
        """Return one output for each request; None where the row is refused."""

    def score_table(self, table: pa.Table) -> NDArray[np.float64]:
        """Return scores, shape (n,), for several classes (n, n_classes)."""

    def close(self) -> None:
        """End what needs an end."""


@dataclass(frozen=True)
class LoadedBundle:
    """A verified bundle whose golden rows were reproduced here, ready to score."""

    path: Path
    manifest: Manifest
    replay: Replay
    predictor: str
    """What answers: compiled, onnx, hybrid or original."""
    answering: Answering

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def score_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[Output]:
        """Return one output for each row (a parsed request); None where the model refuses the row."""
        return self.answering.score_requests([canonical_json(row) for row in rows])

    def score_table(self, table: pa.Table) -> NDArray[np.float64]:
        """Return scores, shape (n,), for several classes (n, n_classes).

        A compiled or hybrid predictor gives NaN for a row that the model refuses; the original raises `ModelFailed`
        for all.
        """
        return self.answering.score_table(table)

    @property
    def environment_differences(self) -> tuple[EnvironmentDifference, ...]:
        """Return the distributions that are not here as they were in development; looked up when asked (0.1 s)."""
        return compare_environment(read_checked(self.path, LOCK, self.manifest).decode())

    def certificate(self) -> ParityCertificate:
        """Return what the replay found here, in this environment; whoever loads may keep it as evidence."""
        exact = self.predictor == "original"
        return certify(
            self.replay,
            bundle=self.manifest.digest,
            lock=lock_environment(),
            predictor=self.predictor,
            tolerance=0.0 if exact else self.manifest.predictor.tolerance,
        )

    def close(self) -> None:
        """End the model's process, where there is one."""
        self.answering.close()


def open_bundle(
    path: Path,
    *,
    trusted_keys: Sequence[Path],
    digest: str | None = None,
    today: date | None = None,
    original: bool = False,
) -> LoadedBundle:
    """Return a bundle that was verified, then opened, then replayed.

    A compiled predictor is opened in this process, without opening the pickle; where the model itself or a part of it
    is needed, a separate process holds it.

    Parameters
    ----------
    path, trusted_keys, digest, today
        As `verify_bundle` takes them.
    original : bool
        Whether to answer with the original model, whatever the bundle ships.

    Raises
    ------
    BundleRefused
        What `verify_bundle` raises; nothing was executed.
    GoldenRowsDiffer
        A golden row does not give here what it gave in development: within the manifest's tolerance for a compiled
        predictor, to the last bit for the original.
    LibraryMissing
        The predictor is computed with a library that is not here; the message says what to install.
    ModelFailed
        The model cannot be opened; the message names the distributions that differ.
    """
    manifest = verify_bundle(path, trusted_keys=trusted_keys, digest=digest, today=today)
    kind = "original" if original else manifest.predictor.kind
    answering, replay = (_open_process if kind in _PROCESSES else _open_fast)(path, manifest, kind)
    return LoadedBundle(path, manifest, replay, kind, answering)


def open_process(
    path: Path, *, trusted_keys: Sequence[Path], digest: str | None = None, today: date | None = None
) -> ModelProcess:
    """Return the process that `open_bundle` answers with, of a bundle that needs its model or a part of it.

    Raises
    ------
    BadManifest
        The bundle is compiled: no process holds its model.

    Notes
    -----
    Parameters and other errors are those of `open_bundle`.
    """
    manifest = verify_bundle(path, trusted_keys=trusted_keys, digest=digest, today=today)
    kind = manifest.predictor.kind
    if kind not in _PROCESSES:
        raise BadManifest(f"bundle {manifest.digest[:12]} is {kind}: it answers without a process; use open_bundle")
    return _open_process(path, manifest, kind)[0]


def _open_process(path: Path, manifest: Manifest, kind: str) -> tuple[ModelProcess, Replay]:
    golden = parse_golden(read_checked(path, GOLDEN, manifest))
    process = _open_model(path, manifest)
    try:
        return process, _PROCESSES[kind](path, manifest, golden, process)
    except BaseException:
        process.close()
        raise


def _open_model(path: Path, manifest: Manifest) -> ModelProcess:
    return ModelProcess(
        path,
        files=manifest.files,
        features=manifest.features,
        task=manifest.task,
        n_classes=len(manifest.classes) or 2,
    )


def _replay_original(path: Path, manifest: Manifest, golden: tuple[GoldenRow, ...], process: ModelProcess) -> Replay:
    outputs = process.score_requests([row.request for row in golden])
    replay = compare_outputs(golden, outputs, cutoff=manifest.predictor.cutoff)
    refuse_differences(replay, digest=manifest.digest)
    return replay


def _replay_hybrid(path: Path, manifest: Manifest, golden: tuple[GoldenRow, ...], process: ModelProcess) -> Replay:
    document, files = _read_predictor(path, manifest)
    served = manifest.predictor
    offer = Offer("hybrid", document, files)
    replay, apart = process.answer_by(offer, golden, cutoff=served.cutoff, tolerance=served.tolerance)
    refuse_differences(replay, digest=manifest.digest)
    refuse_apart(apart, rows=replay.rows, digest=manifest.digest)
    return replay


_PROCESSES = {"original": _replay_original, "hybrid": _replay_hybrid}
"""Kinds that answer from a process, and how it is made to give the golden rows."""


def _open_fast(path: Path, manifest: Manifest, kind: str) -> tuple[Answering, Replay]:
    golden = parse_golden(read_checked(path, GOLDEN, manifest))
    document, files = _read_predictor(path, manifest)
    predictor = open_compiled(document, files, features=manifest.features)
    served = manifest.predictor
    replay, apart = replay_predictor(predictor, golden, cutoff=served.cutoff, tolerance=served.tolerance)
    refuse_differences(replay, digest=manifest.digest)
    refuse_apart(apart, rows=replay.rows, digest=manifest.digest)
    return FastAnswers(predictor, manifest.features), replay


def _read_predictor(path: Path, manifest: Manifest) -> tuple[dict[str, Any], dict[str, bytes]]:
    prefix = f"{PREDICTOR_FOLDER}/"
    names = [name.removeprefix(prefix) for name in manifest.files if name.startswith(prefix) and name != PLAN]
    files = {name: read_checked(path, f"{prefix}{name}", manifest) for name in names}
    return parse_plan(read_checked(path, PLAN, manifest)), files


def _list_files(folder: Path) -> set[str]:
    """Return the paths of all plain files, evidence included; refuse links and everything else on the way."""
    if folder.is_symlink() or not folder.is_dir():
        raise FilesDiffer(f"{folder} is refused: it is no folder of a bundle", path=str(folder))
    found: set[str] = set()
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                path = Path(entry.path).relative_to(folder).as_posix()
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    found.add(path)
                else:
                    raise FilesDiffer(
                        f"bundle {folder.name[:12]} is refused: {path!r} is a link or no plain file", path=path
                    )
    return found


def _read_manifest(folder: Path, present: set[str]) -> Manifest:
    if MANIFEST not in present:
        raise BadManifest(f"{folder} is refused: it has no {MANIFEST}, so it is no bundle", path=str(folder))
    if (folder / MANIFEST).stat().st_size > MOST_MANIFEST_BYTES:
        raise BadManifest(f"{folder} is refused: its {MANIFEST} is larger than {MOST_MANIFEST_BYTES // 2**20} MB")
    try:
        return parse_manifest((folder / MANIFEST).read_bytes())
    except BadManifest as error:
        raise BadManifest(f"bundle {folder.name[:12]} is refused: {error.message}", **error.facts) from error


def _compare_lists(folder: Path, present: set[str], manifest: Manifest) -> None:
    beside = {path for path in present if is_evidence_path(path)} | {MANIFEST, SIGNATURE}
    extra = sorted(present - beside - set(manifest.files))
    missing = sorted(set(manifest.files) - present)
    if extra or missing:
        told = [
            f"{len(names)} {what}, first {names[0]!r}"
            for names, what in ((extra, "extra"), (missing, "missing"))
            if names
        ]
        raise FilesDiffer(
            f"bundle {folder.name[:12]} is refused: its files are not those of its manifest ({'; '.join(told)})",
            extra=extra,
            missing=missing,
        )
    folders = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_dir()}
    needed = {parent.as_posix() for path in manifest.files for parent in Path(path).parents} | {EVIDENCE_FOLDER}
    if folders - needed:
        raise FilesDiffer(
            f"bundle {folder.name[:12]} is refused: it has an extra folder {min(folders - needed)!r}",
            extra=sorted(folders - needed),
        )


def _compare_digest(folder: Path, name: str, expected: str) -> None:
    with (folder / name).open("rb") as file:
        seen = hashlib.file_digest(file, "sha256").hexdigest()
    if seen != expected:
        raise FilesDiffer(
            f"bundle {folder.name[:12]} is refused: {name!r} was changed", path=name, seen=seen, expected=expected
        )


def read_checked(folder: Path, name: str, manifest: Manifest) -> bytes:
    """Return the bytes of a file of a verified bundle, which must still have the digest of its manifest.

    Raises
    ------
    FilesDiffer
        When it was changed since.
    """
    content = (folder / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest.files[name]:
        raise FilesDiffer(f"bundle {folder.name[:12]} is refused: {name!r} changed while it was opened", path=name)
    return content
