"""From the model trained last to what ships: compiled and proved again, without training."""

from __future__ import annotations

import tempfile
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
from trueup.bundle.signing import check_private_key, ensure_signing_key, public_key_path, public_pem
from trueup.bundle.supplied_key import take_key
from trueup.bundle.trust import SIGNING_KEY, KeyTerms, fingerprint, refuse_lapsed, trusted_keys, with_terms
from trueup.bundle.unpacking import contents_of
from trueup.bundle.vulnerabilities import check_vulnerabilities, refuse_vulnerable
from trueup.kernel.errors import TrueupError
from trueup.loop.prepare import Progress, Workspace, open_tables, table_name

WITHOUT_PROJECT = "without-project"
"""The project's name in a bundle of an MLflow model that was packaged alone."""


class OfNoProject(TrueupError):
    """The last bundle belongs to no project."""

    code = "loop.of-no-project"


class KeyReplacesItself(TrueupError):
    """The key that would sign is the one to be replaced."""

    code = "loop.key-replaces-itself"


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
    """Return the private key that signs: the supplied one, else the workspace's own, made on first use.

    Raises
    ------
    BadKey, KeyExpired, KeyRevoked
        It cannot sign, or may not any more.
    """
    if workspace.supplied_key is not None:
        return take_key(workspace.supplied_key, keys=workspace.keys, today=workspace.today)
    own = ensure_signing_key(workspace.keys / SIGNING_KEY)
    check_private_key(own)
    public_pem(own)
    refuse_lapsed(public_key_path(own), today=workspace.today, among=trusted_keys(workspace.keys))
    return own


def check_early(project: Project | None, workspace: Workspace) -> None:
    """Raise before the work of training where it is plain already that nothing may ship.

    Raises
    ------
    BadKey, KeyExpired, KeyRevoked
        The key may not sign.
    VulnerableVersions, BadAdvisories
        Trueup itself needs versions that the project does not let ship, or the database is none.
    """
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
    remember_bundle(workspace, bundle)
    return bundle


def package_again(
    project: Project, workspace: Workspace, bundle: Path, *, progress: Progress, replaces: Path | None = None
) -> Packaged:
    """Package the model of a bundle again, with this version's compilers and in this environment.

    Parameters
    ----------
    project : Project
        What the bundle is compared with, to say whether the model is stale.
    workspace : Workspace
    bundle : Path
        From `last_bundle`: named by the digest that this workspace noted when it packaged it. Signed by a key that it
        trusts, or by `replaces`.
    progress : callable
    replaces : Path, optional
        Public key whose signature counts once more, and alone, although its last day is over or it was revoked.

    Raises
    ------
    BundleRefused
        When it is not what its manifest and signature say.
    OfNoProject
        It was made of an MLflow model without a project.
    KeyReplacesItself
        `replaces` is the key that would sign.

    Notes
    -----
    With `replaces` the signature is not what the content is believed for: whoever has a stolen key can sign anything.
    It is the digest that was noted here when the bundle was made, which covers every byte of it.
    """
    progress(0, 1, "packaging and proving")
    check_early(project, workspace)
    if replaces is None:
        contents = contents_of(bundle, trusted_keys=trusted_keys(workspace.keys), today=workspace.today)
    else:
        contents = _contents_of_replaced(bundle, workspace, replaces)
    if contents.project == WITHOUT_PROJECT:
        raise OfNoProject(
            f"the last bundle, {bundle.name[:12]}, was made of an MLflow model without a project, so the project's "
            "charter and past are not in it; run trueup package --mlflow PATH again, or trueup train",
            bundle=bundle.name,
        )
    made = publish(contents, workspace, project=project)
    return evidence_of(made, stale=tuple(_changed(project, workspace, contents)))


def _contents_of_replaced(bundle: Path, workspace: Workspace, replaces: Path) -> BundleContents:
    """Return what a bundle of this workspace was made of, by one key whose terms are set aside."""
    with tempfile.TemporaryDirectory(prefix="trueup-key-") as folder:
        signing = Path(folder) / "signing.pub"
        signing.write_bytes(public_pem(signing_key_of(workspace)))
        if fingerprint(signing) == fingerprint(replaces):
            raise KeyReplacesItself(
                f"{replaces.name} is the key that would sign again; name a new one with --key, or move the old private "
                f"key out of {workspace.keys}, so that a new one is made",
                key=replaces.name,
            )
        bare = Path(folder) / replaces.name
        bare.write_text(with_terms(replaces, KeyTerms()))
        return contents_of(bundle, trusted_keys=[bare], today=workspace.today)


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
