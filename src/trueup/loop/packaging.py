"""From the model trained last to what ships: compiled and proved again, without training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trueup.align.charter import PackageSpec, Project
from trueup.align.document import charter_digest
from trueup.bundle.environment import lock_environment
from trueup.bundle.latency import LatencyTable, read_latencies
from trueup.bundle.package import BundleContents, BundleRef, code_files, package
from trueup.bundle.parity import ParityCertificate, read_certificates
from trueup.bundle.publishing import replace_file
from trueup.bundle.signing import ensure_signing_key
from trueup.bundle.supplied_key import take_key
from trueup.bundle.trust import SIGNING_KEY, trusted_keys
from trueup.bundle.unpacking import contents_of
from trueup.bundle.vulnerabilities import check_vulnerabilities, refuse_vulnerable
from trueup.kernel.errors import TrueupError
from trueup.loop.prepare import Progress, Workspace, open_tables, table_name


@dataclass(frozen=True)
class Packaged:
    """A bundle with the evidence that lies beside it."""

    bundle: BundleRef
    latencies: LatencyTable | None
    """None where the evidence was removed."""
    certificate: ParityCertificate | None
    stale: tuple[str, ...] = ()
    """What the project has changed since the model was trained."""

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON values."""
        return {
            "bundle": {"digest": self.bundle.digest, "path": str(self.bundle.path)},
            "predictors": asdict(self.latencies) if self.latencies else None,
            "certificate": asdict(self.certificate) if self.certificate else None,
            "vulnerabilities": self.bundle.vulnerabilities.as_json(),
            "stale": list(self.stale),
        }


def evidence_of(bundle: BundleRef, *, stale: tuple[str, ...] = ()) -> Packaged:
    """Return a bundle with the newest evidence beside it."""
    certificates = read_certificates(bundle.path)
    return Packaged(bundle, read_latencies(bundle.path), certificates[-1] if certificates else None, stale)


def remember_bundle(workspace: Workspace, bundle: BundleRef) -> None:
    """Note which bundle was packaged last."""
    replace_file(workspace.last_bundle, f"{bundle.digest}\n".encode())


def signing_key_of(workspace: Workspace) -> Path:
    """Return the private key that signs: the supplied one, else the workspace's own, made on first use."""
    if workspace.supplied_key is None:
        return ensure_signing_key(workspace.keys / SIGNING_KEY)
    return take_key(workspace.supplied_key, keys=workspace.keys, today=workspace.today)


def check_early(project: Project | None, workspace: Workspace) -> None:
    """Raise before the work of training where it is plain already that nothing may ship.

    Raises
    ------
    BadKey, KeyExpired, KeyRevoked
        The supplied key may not sign.
    VulnerableVersions, BadAdvisories
        Trueup itself needs versions that the project does not let ship, or the database is none.
    """
    if workspace.supplied_key is not None:
        signing_key_of(workspace)
    spec = _spec(project)
    refuse_vulnerable(
        check_vulnerabilities(lock_environment(), spec=spec, database=workspace.advisories, today=workspace.today)
    )


def _spec(project: Project | None) -> PackageSpec:
    return project.package if project is not None else PackageSpec()


def last_bundle(workspace: Workspace) -> Path | None:
    """Return the bundle that was packaged last, None where there is none."""
    if not workspace.last_bundle.is_file():
        return None
    folder = workspace.bundles / workspace.last_bundle.read_text(encoding="utf-8").strip()
    return folder if folder.is_dir() else None


def publish(contents: BundleContents, workspace: Workspace, *, project: Project | None) -> BundleRef:
    """Package what is to ship, with the workspace's key and by the project's rules.

    Raises
    ------
    VulnerableVersions
        The project does not let these versions ship.
    """
    workspace.bundles.mkdir(parents=True, exist_ok=True)
    bundle = package(
        contents,
        into=workspace.bundles,
        signing_key=signing_key_of(workspace),
        today=workspace.today,
        spec=_spec(project),
        advisories=workspace.advisories,
    )
    if project is not None:
        remember_bundle(workspace, bundle)
    return bundle


def package_again(project: Project, workspace: Workspace, bundle: Path, *, progress: Progress) -> Packaged:
    """Package the model of a bundle again, with this version's compilers and in this environment.

    Parameters
    ----------
    project : Project
        What the bundle is compared with, to say whether the model is stale.
    workspace : Workspace
    bundle : Path
        Signed by a key that this workspace trusts.
    progress : callable

    Raises
    ------
    BundleRefused
        When it is not what its manifest and signature say.
    """
    progress(0, 1, "packaging and proving")
    check_early(project, workspace)
    contents = contents_of(bundle, trusted_keys=trusted_keys(workspace.keys), today=workspace.today)
    made = publish(contents, workspace, project=project)
    return evidence_of(made, stale=tuple(_changed(project, workspace, contents)))


def _changed(project: Project, workspace: Workspace, contents: BundleContents) -> Iterator[str]:
    if contents.charter_digest != charter_digest(project.charter):
        yield "the charter"
    if project.train.pipeline and contents.code and dict(contents.code) != code_files(Path(project.folder)):
        yield "the project's code"
    try:
        version = open_tables(workspace).get(table_name(project))
    except TrueupError:
        # nothing is ingested here: a copied project can be packaged all the same
        return
    if contents.table_version != f"{version.id} {version.digest[:16]}":
        yield "the data"
