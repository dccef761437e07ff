"""How does a trained model become a bundle? Written aside, compiled and proved, signed, forced to disk, renamed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from trueup.align.charter import PackageSpec
from trueup.bundle.candidates import Candidate, Offer, choose_candidate
from trueup.bundle.environment import imported_modules, lock_environment
from trueup.bundle.errors import BundleError, FilesDiffer, GoldenRowsDiffer
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import GoldenRow, compare_outputs, golden_lines, refuse_differences
from trueup.bundle.latency import tabulate
from trueup.bundle.layout import (
    CODE_FOLDER,
    EVIDENCE_FOLDER,
    GOLDEN,
    LOCK,
    MANIFEST,
    PLAN,
    PREDICTOR_FOLDER,
    REFERENCE_FOLDER,
    SBOM,
    is_safe_path,
)
from trueup.bundle.loading import is_intact
from trueup.bundle.manifest import Manifest
from trueup.bundle.mlflow_folder import MlflowContents, mlflow_files
from trueup.bundle.parity import certify
from trueup.bundle.proof import TOLERANCE, Proof
from trueup.bundle.proving import prove_apart
from trueup.bundle.publishing import partial_folder, publish_folder, replace_file, write_file
from trueup.bundle.sbom import bill_of_materials
from trueup.bundle.scoring import ModelProcess
from trueup.bundle.served import KINDS, Served
from trueup.bundle.signing import check_private_key, public_key_path, public_pem, sign_folder
from trueup.bundle.vulnerabilities import NOT_CHECKED, VulnerabilityCheck, check_vulnerabilities, refuse_vulnerable
from trueup.kernel.digests import canonical_json, digest_of_bytes

_ANY = PackageSpec()
_ASKED_ALONE = 64
"""Golden rows that the original is asked for one by one; each costs a call of it, milliseconds."""
_ALONE_TOLERANCE = 1e-6
"""Sums in single precision may end in other bits for one row than for many; a mean over the rows differs by more."""


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
    model_digest: str = field(default="", kw_only=True)
    """SHA-256 it must have, where that is known from a verified bundle; empty: as it is."""
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
    vulnerabilities: VulnerabilityCheck = NOT_CHECKED
    """What was known of its versions when it was packaged."""


def package(
    contents: BundleContents,
    *,
    into: Path,
    signing_key: Path,
    today: date | None = None,
    spec: PackageSpec = _ANY,
    advisories: Path | None = None,
) -> BundleRef:
    """Write a signed bundle below `into`, in a folder named by its digest.

    Two fresh processes open the model: the first records the outputs of the golden rows and makes fast predictors of
    the model, the second must reproduce the outputs to the last bit. Each fast predictor is tried in a process of its
    own; one that keeps parts of the model in Python, in a third that opens the model. `candidates.choose_candidate`
    says which ships. Killed at any moment, nothing half-made is published. The same contents in the same environment
    give the same digest, as long as the pickle has the same bytes and no measurement is near twice another, nor a
    hybrid's near the original's. A bundle of the same digest that is already there stays when it is intact and signed
    by the same key, else it is replaced.

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
    spec : PackageSpec
        What the project says may ship.
    advisories : Path, optional
        OSV database that the locked versions are looked up in; what it said is kept as evidence.

    Raises
    ------
    VulnerableVersions
        Versions with known vulnerabilities, where `spec` prevents them; nothing was published.
    BadAdvisories
        `advisories` is no such database.
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
    lock = files[LOCK].decode()
    check = check_vulnerabilities(lock, spec=spec, database=advisories, today=today)
    refuse_vulnerable(check)
    with partial_folder(into) as work:
        for path, content in files.items():
            write_file(work, path, content)
        digests = {path: digest_of_bytes(content) for path, content in files.items()}
        golden, offers = _record(work, digests, contents)
        digests[GOLDEN] = digest_of_bytes(golden_lines(golden))
        write_file(work, GOLDEN, golden_lines(golden))
        candidates = _tried(work, digests, contents, golden=golden, offers=offers)
        shipped = choose_candidate(candidates)
        for path, content in _predictor_files(shipped).items():
            write_file(work, path, content)
            digests[path] = digest_of_bytes(content)
        manifest = _manifest(contents, digests, shipped)
        write_file(work, MANIFEST, manifest.content)
        final = into / manifest.digest
        if is_intact(final, trusted_keys=[_public_half(signing_key, work.parent)], today=today):
            (final / EVIDENCE_FOLDER).mkdir(exist_ok=True)
            replace_file(final / check.path, check.content)
            return BundleRef(manifest.digest, final, check)
        # signed under its own name, which the signature's subject repeats
        named = work.rename(work.with_name(manifest.digest))
        sign_folder(named, signing_key=signing_key, today=today)
        _write_evidence(named, manifest, candidates, shipped=shipped, lock=lock)
        write_file(named, check.path, check.content)
        publish_folder(named, final)
    return BundleRef(manifest.digest, final, check)


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
    model_digest = digest_of_bytes(model)
    if contents.model_digest and model_digest != contents.model_digest:
        raise FilesDiffer(f"{contents.model_path} changed since it was verified", path=str(contents.model_path))
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
    files[SBOM] = bill_of_materials(
        project=contents.project,
        model_version=contents.model_version,
        model_digest=model_digest,
        task=contents.task,
        features=contents.features,
        lock=lock,
    )
    for path in files:
        if not is_safe_path(path):
            raise BundleError(f"{path!r} cannot be a path in a bundle; use plain names without \\, : or ..", path=path)
    return files


def _record(
    work: Path, digests: Mapping[str, str], contents: BundleContents
) -> tuple[tuple[GoldenRow, ...], tuple[Offer, ...]]:
    """Return what the model answers to the golden requests, and the fast ways of answering that it offers."""
    with _model_process(work, digests, contents) as process:
        outputs = process.score_requests(contents.golden_requests)
        if not outputs or all(output is None for output in outputs):
            raise BundleError(
                f"the model scored none of the {len(outputs)} golden rows, so nothing can be proved about it; give "
                "rows of the table it was trained on, and see that the pipeline accepts missing values",
                rows=len(outputs),
            )
        offers = process.make_offers(contents.golden_requests)
    golden = tuple(GoldenRow(r, output) for r, output in zip(contents.golden_requests, outputs, strict=True))
    return golden, offers


def _tried(
    work: Path,
    digests: Mapping[str, str],
    contents: BundleContents,
    *,
    golden: tuple[GoldenRow, ...],
    offers: Sequence[Offer],
) -> tuple[Candidate, ...]:
    """Return the candidates in order of preference: fast ways, each tried in a fresh process, then the original."""
    tried = {}
    with _model_process(work, digests, contents) as process:
        replay = compare_outputs(golden, process.score_requests(contents.golden_requests), cutoff=contents.cutoff)
        refuse_differences(replay, digest=contents.model_version)
        _refuse_company(process, golden, contents)
        cost = process.measure(contents.golden_requests)
        tried["original"] = Candidate(Offer("original"), Proof(replay, 0, cost))
    for offer in offers:
        if offer.kind == "hybrid" and offer.plan is not None:
            with _model_process(work, digests, contents) as process:
                tried[offer.kind] = process.try_offer(offer, golden, cutoff=contents.cutoff)
            continue
        tried[offer.kind] = prove_apart(offer, golden, features=contents.features, cutoff=contents.cutoff)
    return tuple(tried[kind] for kind in KINDS if kind in tried)


def _refuse_company(process: ModelProcess, golden: Sequence[GoldenRow], contents: BundleContents) -> None:
    """Raise when the answer to a row depends on the rows it comes with: no way of answering could be right then.

    Raises
    ------
    GoldenRowsDiffer
        Says for how many of the rows that were asked for alone.
    """
    some = golden[:: max(1, len(golden) // _ASKED_ALONE)]
    alone = [process.score_requests([row.request])[0] for row in some]
    replay = compare_outputs(some, alone, cutoff=contents.cutoff, tolerance=_ALONE_TOLERANCE)
    if replay.differing:
        raise GoldenRowsDiffer(
            f"the model answers {replay.differing} of {replay.rows} rows differently alone than among others, by up to "
            f"{replay.largest_difference:.3g}; {replay.decisions_differ} decisions differ: something in it looks at "
            "all rows of a request, such as their mean; learn that in fit, and apply it row by row",
            rows=replay.rows,
            differing=replay.differing,
            decisions_differ=replay.decisions_differ,
        )


def _predictor_files(shipped: Candidate) -> dict[str, bytes]:
    if shipped.offer.plan is None:
        return {}
    files = {f"{PREDICTOR_FOLDER}/{name}": content for name, content in shipped.offer.files.items()}
    return {PLAN: shipped.offer.plan_content, **files}


def _write_evidence(
    folder: Path, manifest: Manifest, candidates: Sequence[Candidate], *, shipped: Candidate, lock: str
) -> None:
    if shipped.proof is None:
        raise ValueError("only a proven candidate ships")
    replay, served = shipped.proof.replay, manifest.predictor
    certificate = certify(replay, bundle=manifest.digest, lock=lock, predictor=served.kind, tolerance=served.tolerance)
    table = tabulate(candidates, shipped, bundle=manifest.digest, lock=lock, rows=replay.rows)
    write_file(folder, certificate.path, certificate.content)
    write_file(folder, table.path, table.content)


def _model_process(folder: Path, digests: Mapping[str, str], contents: BundleContents) -> ModelProcess:
    return ModelProcess(
        folder, files=digests, features=contents.features, task=contents.task, n_classes=len(contents.classes) or 2
    )


def _manifest(contents: BundleContents, digests: Mapping[str, str], shipped: Candidate) -> Manifest:
    shared = {f.name for f in dataclasses.fields(Manifest)} & {f.name for f in dataclasses.fields(BundleContents)}
    values = {name: getattr(contents, name) for name in shared}
    offer = shipped.offer
    served = Served(
        offer.kind,
        tolerance=0.0 if offer.plan is None else TOLERANCE,
        cutoff=None if contents.cutoff is None else float(contents.cutoff),
        slow_parts=offer.slow_parts,
    )
    return Manifest(**values, predictor=served, lock_digest=digests[LOCK], files=digests)


def _public_half(signing_key: Path, scratch: Path) -> Path:
    """Return the public key that lies beside a private one, with its terms; else its public half, written aside."""
    beside = public_key_path(signing_key)
    if beside.is_file():
        return beside
    check_private_key(signing_key)
    write_file(scratch, beside.name, public_pem(signing_key))
    return scratch / beside.name
