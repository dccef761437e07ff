"""What does a server keep beside it, to start again when the lake is gone? Bundles, and what was desired."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trueup.bundle.errors import BundleNotFound, BundleRefused
from trueup.bundle.publishing import partial_folder, publish_folder, replace_file, write_file
from trueup.lake.desired_state import DesiredState, desired_content, parse_desired
from trueup.lake.store import Store

Check = Callable[[Path], None]


@dataclass(frozen=True)
class Spool:
    """A local folder of one server installation."""

    folder: Path

    @property
    def bundles(self) -> Path:
        """Copies of bundles, by digest."""
        return self.folder / "bundles"

    @property
    def environments(self) -> Path:
        """Environments made for bundles that need another one."""
        return self.folder / "environments"

    def hot(self, project: str) -> Path:
        """Return where the segments of a project's log are written."""
        return self.folder / project / "hot"

    def counters(self, project: str) -> Path:
        """Return where the capacity that is used is counted."""
        return self.folder / project / "capacity"

    def keys(self, project: str) -> Path:
        """Return where the keys of personal values lie; outside the lake, and not in its backups."""
        return self.folder / project / "keys"

    def host(self) -> str:
        """Return the name under which this installation holds leases: another disk is another host."""
        path = self.folder / "host"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            made = path.with_suffix(f".{os.getpid()}")
            made.write_text(f"{socket.gethostname()}-{secrets.token_hex(4)}", encoding="utf-8")
            with contextlib.suppress(FileExistsError):  # another process of the host was faster
                os.link(made, path)
            made.unlink()
        return path.read_text(encoding="utf-8")

    def fetch_bundle(self, store: Store, digest: str, *, check: Check | None = None) -> Path:
        """Return the local copy of a bundle, brought from the lake where it is not there or damaged.

        One process of the host brings it, the others wait; a copy appears once it is checked, and one that passes the
        check is never replaced.

        Parameters
        ----------
        store : Store
        digest : str
        check : callable, optional
            Raises `BundleRefused` where a folder does not hold the bundle.

        Raises
        ------
        BundleRefused
            What the lake holds does not pass the check.
        BundleNotFound
            The lake does not hold it.
        LakeError
            The lake cannot be read.
        CannotWrite
            The local disk is full or cannot be written.
        """
        final = self.bundles / digest
        with self._alone(digest):
            if not _passes(final, check):
                self._bring(store, digest, final, check)
        return final

    def _bring(self, store: Store, digest: str, final: Path, check: Check | None) -> None:
        prefix = f"bundles/{digest}"
        entries = [entry.key for entry in store.list(prefix)]
        if not entries:
            raise BundleNotFound(f"bundle {digest[:12]} is not in the lake at {store.url}", digest=digest)
        with partial_folder(self.bundles) as made:
            for key in entries:
                write_file(made, key.removeprefix(f"{prefix}/"), store.get(key))
            if check is not None:
                check(made)
            publish_folder(made, final)

    @contextlib.contextmanager
    def _alone(self, digest: str) -> Iterator[None]:
        """Let one process of the host look after a copy at a time; a killed one lets go."""
        self.bundles.mkdir(parents=True, exist_ok=True)
        with (self.bundles / f".lock-{digest}").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def remember(self, state: DesiredState) -> None:
        """Keep what was desired last."""
        path = self._desired(state.project)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, desired_content(state))

    def recall(self, project: str) -> DesiredState | None:
        """Return what was desired last; None where nothing was.

        Raises
        ------
        BadDesiredState
            When the copy was damaged.
        """
        path = self._desired(project)
        return parse_desired(path.read_bytes()) if path.is_file() else None

    def projects(self) -> tuple[str, ...]:
        """Return the projects that were served from here."""
        return tuple(sorted(path.parent.name for path in self.folder.glob("*/desired.json")))

    def _desired(self, project: str) -> Path:
        return self.folder / project / "desired.json"


def _passes(folder: Path, check: Check | None) -> bool:
    if not folder.is_dir():
        return False
    if check is None:
        return True
    try:
        check(folder)
    except BundleRefused:
        return False
    return True
