"""Which lake does an operator mean, and which of its projects? A project folder, or a lake, as for `trueup serve`."""

from __future__ import annotations

import argparse
import datetime as dt
import getpass
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from trueup.cli.exits import CliError, WrongUsage
from trueup.cli.workspace import Workspace, project_folder

if TYPE_CHECKING:
    from trueup.lake.store import Store


class BundleElsewhere(CliError):
    """A bundle is not in the lake that servers read."""

    code = "cli.bundle-elsewhere"


@dataclass(frozen=True)
class ServedPlace:
    """One project of one lake."""

    store: Store
    project: str
    spool: Path
    """What servers of this host keep beside them, unless they were told another folder."""
    trusted: tuple[Path, ...]
    folder: Path | None = None
    """Of the project; None where only its lake is known."""

    def hot(self) -> Path:
        """Return where the segments of this host's servers lie."""
        from trueup.serve.spooling import Spool

        return Spool(self.spool).hot(self.project)

    def keys(self) -> Path:
        """Return where the keys of personal values of this host lie."""
        from trueup.serve.spooling import Spool

        return Spool(self.spool).keys(self.project)


def served_place(arguments: argparse.Namespace) -> ServedPlace:
    """Return what `--project`, `--name`, `--trust` and `--spool` name.

    Raises
    ------
    WrongUsage
        It is neither a project nor a lake in which something is served, or a lake with several projects.
    """
    from trueup.bundle.trust import trusted_keys
    from trueup.lake.stores import open_store, options_in

    text = arguments.project
    folder = project_folder(text)
    named = [Path(key) for key in getattr(arguments, "trust", None) or ()]
    spool = Path(arguments.spool).resolve() if getattr(arguments, "spool", None) else None
    if "://" not in text and (folder / "trueup.toml").is_file():
        workspace = Workspace(folder)
        return ServedPlace(
            open_store(workspace.root / "lake"),
            project_name(folder),
            spool or workspace.root / "serving",
            trusted_keys(workspace.keys, more=named),
            folder,
        )
    store = open_store(text, options=options_in(os.environ))
    served = served_projects(store) if "://" in text or folder.is_dir() else ()
    if not served:
        raise WrongUsage(f"{text} is no project (it has no trueup.toml), and no lake in which something is served")
    chosen = arguments.name or (served[0] if len(served) == 1 else None)
    if chosen not in served:
        raise WrongUsage(f"name one of the projects that are served in {text}: --name {'|'.join(served)}")
    return ServedPlace(store, chosen, spool or Path("trueup-serving").resolve(), tuple(named))


def served_projects(store: Store) -> tuple[str, ...]:
    """Return the names of the projects for which something is desired in a lake, sorted.

    One whose desired state is lost is among them, so that it is missed and can be brought back.
    """
    parts = [entry.key.split("/") for entry in store.list("serving")]
    return tuple(sorted({part[1] for part in parts if part[2:] == ["desired.json"] or part[2:3] == ["history"]}))


def project_name(folder: Path) -> str:
    """Return a project's name as its file says; whether the file is in order is looked at elsewhere.

    Raises
    ------
    WrongUsage
    """
    file = folder / "trueup.toml"
    try:
        name = tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise WrongUsage(f"{file} cannot be read; see what is wrong: trueup check {folder}") from error
    return str(name)


@contextmanager
def bundle_in_lake(place: ServedPlace, named: str) -> Iterator[Path]:
    """Give the folder of a bundle that the lake holds; one of an object store is brought here for a while.

    Raises
    ------
    BundleNotFound
    BundleElsewhere
        It is a folder or archive beside the lake, where servers would not find it.
    """
    from trueup.lake.folder_store import FolderStore
    from trueup.serve.spooling import Spool

    if isinstance(place.store, FolderStore):
        yield _found_among(place.store.folder / "bundles", named)
        return
    with TemporaryDirectory(prefix="trueup-bundle-") as aside:
        names = Path(aside) / "names"
        for digest in {entry.key.split("/")[1] for entry in place.store.list("bundles")}:
            (names / digest).mkdir(parents=True, exist_ok=True)
        yield Spool(Path(aside)).fetch_bundle(place.store, _found_among(names, named).name)


def _found_among(bundles: Path, named: str) -> Path:
    from trueup.bundle.finding import find_bundle

    found = find_bundle(named, bundles=bundles)
    if found.parent != bundles.resolve() and found.parent != bundles:
        raise BundleElsewhere(
            f"{found} is not among the lake's bundles, where servers look; take it in first: trueup bundle import",
            path=str(found),
        )
    return found


def who_asks() -> str:
    """Return the user whom the system names, for the record; its number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def day_start(text: str, option: str) -> dt.datetime:
    """Return the beginning of a day in UTC.

    Raises
    ------
    WrongUsage
    """
    try:
        day = dt.date.fromisoformat(text)
    except ValueError as error:
        raise WrongUsage(f'{option} "{text}" is no date; write it as 2027-06-30') from error
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
