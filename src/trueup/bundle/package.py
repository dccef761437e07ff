"""How does a trained model become a bundle? Written aside, proved, signed, forced to disk, renamed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from trueup.bundle.environment import imported_modules, lock_environment
from trueup.bundle.errors import BundleError, BundleRefused
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import GoldenRow, compare_outputs, golden_lines, refuse_differences
from trueup.bundle.layout import CODE_FOLDER, GOLDEN, LOCK, MANIFEST, REFERENCE_FOLDER, is_safe_path
from trueup.bundle.loading import verify_bundle
from trueup.bundle.manifest import Manifest
from trueup.bundle.mlflow_folder import MlflowContents, mlflow_files
from trueup.bundle.parity import certify
from trueup.bundle.publishing import partial_folder, publish_folder, write_file
from trueup.bundle.scoring import ModelProcess
from trueup.bundle.signing import public_key_path, sign_folder
from trueup.kernel.digests import canonical_json, digest_of_bytes


@dataclass(frozen=True)
class BundleContents:
    """Everything that goes into a bundle, as plain values."""

    project: str
    task: str
    """binary, multiclass or regression."""
    model_version: str
    charter_version: int
    charter_digest: str
    table_version: str
    features: tuple[FeatureSpec, ...]
    model_path: Path
    """The pickled estimator, written by the training process."""
    golden_requests: tuple[str, ...]
    """Requests from `golden.make_golden_requests`; the outputs are recorded while packaging."""
    classes: tuple[str, ...] = ()
    """Names of the outcome's classes; for binary (negative, positive); empty for regression."""
    code_revision: str | None = None
    policy: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    recipe_digest: str = ""
    reference: Mapping[str, Any] = field(default_factory=dict)
    """JSON values by name: the profile of training data and of scores."""
    code: Mapping[str, bytes] = field(default_factory=dict)
    """The project's Python files by their path in its folder."""
    needs: tuple[str, ...] = ()
    """Modules that the model needs beside those that the code imports, such as ``onnxruntime``."""
    requirements_lock: str = ""
    """Text of the project's lock file, for the hashes."""
    cutoff: float | None = None
    """Score from which a case is acted on, for the parity certificate."""


@dataclass(frozen=True)
class BundleRef:
    """Where a bundle is."""

    digest: str
    path: Path


def package(contents: BundleContents, *, into: Path, signing_key: Path, today: date | None = None) -> BundleRef:
    """Write a signed bundle below `into`, in a folder named by its digest.

    Two fresh processes open the model: the first records the outputs of the golden rows, the second must reproduce them
    to the last bit and gives the parity certificate. Killed at any moment, nothing half-made is published. The same
    contents in the same environment give the same digest, as long as the pickle has the same bytes. A bundle of the
    same digest that is already there stays when it is intact and signed by the same key, else it is replaced.

    Parameters
    ----------
    contents : BundleContents
        What to ship.
    into : Path
        Folder of bundles; made when missing.
    signing_key : Path
        Private key, from `signing.ensure_signing_key`.
    today : date, optional
        The day in UTC, for a key that is trusted until a day; without it such a key does not sign.

    Raises
    ------
    CannotWrite
        No space, read-only, no folder; nothing was published.
    GoldenRowsDiffer
        The model does not give the same twice, so nothing can be proved about it.
    ModelFailed
        The model cannot be opened in a fresh process, or every golden row makes it raise.
    BadKey, KeyExpired, KeyRevoked
        The key cannot sign, or may not any more.
    """
    files = _content_files(contents)
    with partial_folder(into) as work:
        for path, content in files.items():
            write_file(work, path, content)
        digests = {path: digest_of_bytes(content) for path, content in files.items()}
        golden = _record_golden(work, digests, contents)
        digests[GOLDEN] = digest_of_bytes(golden_lines(golden))
        write_file(work, GOLDEN, golden_lines(golden))
        manifest = _manifest(contents, digests)
        write_file(work, MANIFEST, manifest.content)
        final = into / manifest.digest
        if _is_intact(final, signing_key, today):
            return BundleRef(manifest.digest, final)
        # signed under its own name, which the signature's subject repeats
        named = work.rename(work.with_name(manifest.digest))
        sign_folder(named, signing_key=signing_key, today=today)
        _certify(named, manifest, golden, contents, files[LOCK].decode())
        publish_folder(named, final)
    return BundleRef(manifest.digest, final)


def code_files(folder: Path) -> dict[str, bytes]:
    """Return the Python files of a project folder by their path, tests, builds and hidden folders left out."""
    left_out = {"tests", "build", "__pycache__"}
    paths = (path.relative_to(folder) for path in sorted(folder.rglob("*.py")))
    return {
        path.as_posix(): (folder / path).read_bytes()
        for path in paths
        if not any(part.startswith(".") or part in left_out for part in path.parts)
    }


def _content_files(contents: BundleContents) -> dict[str, bytes]:
    """Return every content file but the golden rows."""
    try:
        model = contents.model_path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read the trained model {contents.model_path}: {error.strerror}") from error
    lock = lock_environment(
        requirements_lock=contents.requirements_lock, imported=[*imported_modules(contents.code), *contents.needs]
    )
    files = mlflow_files(
        MlflowContents(
            model=model,
            lock=lock,
            task=contents.task,
            features=contents.features,
            classes=contents.classes,
            requests=contents.golden_requests,
            code=contents.code,
        )
    )
    files |= {f"{CODE_FOLDER}/{path}": content for path, content in contents.code.items()}
    files |= {
        f"{REFERENCE_FOLDER}/{name}.json": canonical_json(value).encode() for name, value in contents.reference.items()
    }
    files[LOCK] = lock.encode()
    for path in files:
        if not is_safe_path(path):
            raise BundleError(f"{path!r} cannot be a path in a bundle; use plain names without \\, : or ..", path=path)
    return files


def _record_golden(work: Path, digests: Mapping[str, str], contents: BundleContents) -> tuple[GoldenRow, ...]:
    with _model_process(work, digests, contents) as process:
        outputs = process.score_requests(contents.golden_requests)
    if not outputs or all(output is None for output in outputs):
        raise BundleError(
            f"the model scored none of the {len(outputs)} golden rows, so nothing can be proved about it; give rows of "
            "the table it was trained on, and see that the pipeline accepts missing values",
            rows=len(outputs),
        )
    return tuple(GoldenRow(r, output) for r, output in zip(contents.golden_requests, outputs, strict=True))


def _certify(
    folder: Path, manifest: Manifest, golden: tuple[GoldenRow, ...], contents: BundleContents, lock: str
) -> None:
    with _model_process(folder, manifest.files, contents) as process:
        outputs = process.score_requests([row.request for row in golden])
    replay = compare_outputs(golden, outputs, cutoff=contents.cutoff)
    refuse_differences(replay, digest=manifest.digest)
    certificate = certify(replay, bundle=manifest.digest, lock=lock)
    write_file(folder, certificate.path, certificate.content)


def _model_process(folder: Path, digests: Mapping[str, str], contents: BundleContents) -> ModelProcess:
    return ModelProcess(
        folder, files=digests, features=contents.features, task=contents.task, n_classes=len(contents.classes) or 2
    )


def _manifest(contents: BundleContents, digests: Mapping[str, str]) -> Manifest:
    shared = {f.name for f in dataclasses.fields(Manifest)} & {f.name for f in dataclasses.fields(BundleContents)}
    values = {name: getattr(contents, name) for name in shared}
    return Manifest(**values, lock_digest=digests[LOCK], files=digests)


def _is_intact(folder: Path, signing_key: Path, today: date | None) -> bool:
    if not folder.exists():
        return False
    try:
        verify_bundle(folder, trusted_keys=[public_key_path(signing_key)], today=today)
    except BundleRefused:
        return False
    return True
