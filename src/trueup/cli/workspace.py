"""Where do a project's working files live? In ``<project>/.trueup/``, which can be deleted at any time but for keys."""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli.exits import EnvironmentUnfit

if TYPE_CHECKING:
    from trueup.loop.prepare import Workspace as LoopWorkspace


@dataclass(frozen=True)
class Workspace:
    """The folders of one project."""

    project: Path
    supplied_key: Path | None = None
    """Private key that signs bundles in place of the local one."""
    advisories: Path | None = None
    """OSV database that a bundle's versions are looked up in."""

    @property
    def root(self) -> Path:
        """Everything Trueup writes for this project."""
        return self.project / ".trueup"

    def for_loop(self) -> LoopWorkspace:
        """Return the part of the workspace that the loop works in."""
        from trueup.loop.prepare import Workspace as LoopWorkspace

        return LoopWorkspace(
            self.root,
            today=dt.datetime.now(dt.UTC).date(),
            supplied_key=self.supplied_key,
            advisories=self.advisories,
        )

    @property
    def reports(self) -> Path:
        """Rehearsals as JSON and HTML."""
        return self.root / "reports"

    @property
    def keys(self) -> Path:
        """The local signing key; readable by its owner alone."""
        return self.root / "keys"

    @property
    def rehearsal_json(self) -> Path:
        """The last rehearsal."""
        return self.reports / "rehearsal.json"

    @property
    def report_html(self) -> Path:
        """The last report."""
        return self.reports / "report.html"


def project_folder(named: str) -> Path:
    """Return the absolute path of a project, since work goes on in processes elsewhere."""
    return Path(named).resolve()


def open_workspace(project: Path, *, key: str | None = None, advisories: str | None = None) -> Workspace:
    """Return the working folders of a project, made where they are missing.

    Parameters
    ----------
    project : Path
    key : str, optional
        Private key that signs bundles, as it was named.
    advisories : str, optional
        Advisory database, as it was named.

    Raises
    ------
    EnvironmentUnfit
        When the project folder cannot be written.
    """
    workspace = Workspace(project, Path(key) if key else None, Path(advisories) if advisories else None)
    try:
        for folder in (workspace.root / "lake", workspace.root / "scratch", workspace.reports):
            folder.mkdir(parents=True, exist_ok=True)
        workspace.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentUnfit(
            f"cannot write the working folder {workspace.root}: {error.strerror}; make the project folder writable "
            "or copy the project elsewhere",
            folder=str(workspace.root),
        ) from error
    return workspace


def open_shipping(project: Path, *, key: str | None, advisories: str | None) -> Workspace:
    """Return `open_workspace` where something is to be signed, once the key was seen to be one that may sign.

    Raises
    ------
    BadKey, KeyExpired, KeyRevoked
        It cannot sign, or may not any more; nothing else was done.
    """
    from trueup.loop.packaging import signing_key_of

    workspace = open_workspace(project, key=key, advisories=advisories)
    signing_key_of(workspace.for_loop())
    return workspace


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it appears complete or not at all.

    Raises
    ------
    EnvironmentUnfit
        When it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise EnvironmentUnfit(
            f"cannot write {path}: {error.strerror}; what was there is unchanged. Free some space or make the folder "
            "writable, then run the same command again",
            path=str(path),
        ) from error
