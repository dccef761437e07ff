"""How does a project answer requests? `trueup serve`: processes that decide, and one that seals what they log."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import secrets
import select
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli.console import Console
from trueup.cli.exits import CliError, EnvironmentUnfit, WrongUsage
from trueup.cli.served_place import project_name, served_projects, who_asks
from trueup.cli.workspace import Workspace, open_workspace, project_folder

if TYPE_CHECKING:
    from trueup.bundle.manifest import Manifest
    from trueup.lake.store import Store
    from trueup.loop.serve import Serving
    from trueup.serve.settings import ServerSettings

TOKEN_FILE = "serve-first.token"  # noqa: S105  # a file's name
_BACKLOG = 4096


class NothingPackaged(CliError):
    """There is no bundle to serve."""

    code = "cli.nothing-packaged"


@dataclass(frozen=True)
class Target:
    """What is to be served, and from where."""

    lake: str
    projects: tuple[str, ...]
    spool: Path
    trusted: tuple[Path, ...]
    token_file: Path | None = None
    """Where the first caller's token is kept; None where nothing was published here."""


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup serve`."""
    from trueup.lake.stores import options_in
    from trueup.serve.settings import ServerSettings
    from trueup.serve.tls import tls_context

    if bool(arguments.certificate) != bool(arguments.certificate_key):
        raise WrongUsage(
            "TLS needs both --certificate and --certificate-key (PEM; the same file twice if it holds both)"
        )
    if arguments.certificate:
        tls_context(Path(arguments.certificate), Path(arguments.certificate_key))
    target = _target_of(arguments, console)
    _refuse_read_only(target.spool)
    sockets = listening_socket(arguments.host, arguments.port)
    settings = ServerSettings(
        lake=target.lake,
        projects=target.projects,
        spool=target.spool,
        trusted_keys=target.trusted,
        store_options=options_in(os.environ),
        certificate=Path(arguments.certificate) if arguments.certificate else None,
        certificate_key=Path(arguments.certificate_key) if arguments.certificate_key else None,
        rehearsing=arguments.rehearsing,
    )
    scheme = "https" if settings.certificate else "http"
    url = f"{scheme}://{_shown(arguments.host)}:{sockets.getsockname()[1]}"
    return _supervise(settings, target, sockets, arguments=arguments, url=url, console=console)


def _supervise(
    settings: ServerSettings,
    target: Target,
    listening: socket.socket,
    *,
    arguments: argparse.Namespace,
    url: str,
    console: Console,
) -> int:
    from trueup.kernel.errors import TrueupError
    from trueup.serve.server import run_server
    from trueup.serve.spooling import Spool
    from trueup.serve.supervisor import FAILED, Companion, Supervisor

    told: list[bool] = []

    def ready() -> None:
        if not told and os.getpid() != parent:
            told.append(True)
            _tell_ready(target, url, console)

    def say(text: str) -> None:
        if select.select([], [console.err], [], 0)[1]:  # where nobody reads, answers would wait for who does
            console.note(text)

    def worker(number: int) -> int:
        try:
            run_server(settings, [listening], ready=ready if number == 0 else _nothing, say=say)
        except TrueupError as error:
            if number == 0:
                console.error(error.code, error.message, error.facts)
            else:
                console.note(f"worker {number}: {error.message}")
            return FAILED
        return 0

    parent = os.getpid()
    companions = [
        Companion(
            f"sealing of {project}",
            (
                *(sys.executable, "-m", "trueup.lake.sealing_process", "--begun", "--lake", settings.lake),
                *("--project", project, "--hot", str(Spool(target.spool).hot(project))),
                *("--log", str(target.spool / "sealing.log")),
            ),
            target.spool / "sealing.log",
            unblocks_sigterm=True,
        )
        for project in target.projects
    ]
    code = Supervisor(
        worker,
        arguments.processes,
        companions=() if arguments.no_sealing else companions,
        grace_seconds=settings.grace_seconds + 5.0,
        say=say,
    ).run()
    if not arguments.no_sealing:
        _tell_waiting(settings.lake, target, console)
    return code


def _tell_waiting(lake: str, target: Target, console: Console) -> None:
    """Say what could not be sealed before the end: it is kept, and somebody has to fetch it."""
    from trueup.lake.sealing import count_waiting
    from trueup.serve.spooling import Spool

    for project in target.projects:
        waiting = count_waiting(Spool(target.spool).hot(project))
        if waiting:
            console.note(
                f"{waiting:,} records of {project} wait in {target.spool} and are not in the lake yet; the next start "
                f"seals them, or: trueup log seal --project {lake} --name {project} --spool {target.spool}"
            )


def _tell_ready(target: Target, url: str, console: Console) -> None:
    project, place = target.projects[0], target.lake
    if len(target.projects) > 1:
        place += " --name PROJECT"
    document = {
        "url": url,
        "projects": list(target.projects),
        "token_file": str(target.token_file) if target.token_file else None,
        "docs": f"{url}/openapi.json",
    }
    lines = [f"Serving {', '.join(target.projects)} on {url}; Ctrl-C ends it."]
    if target.token_file is not None:
        lines += [
            f"The first caller's token is in {target.token_file}; ask, for example:",
            f'  curl -H "Authorization: Bearer $(cat {target.token_file})" {url}/v2/models/{project}',
        ]
    else:
        lines.append(f"Who asks needs a token: trueup serving token NAME --project {place}")
    lines.append(f"What can be asked, with examples, for who sends a token: {url}/openapi.json")
    console.result(document, lines)


# --- what is served


def _target_of(arguments: argparse.Namespace, console: Console) -> Target:
    named = [Path(key) for key in arguments.trust or ()]
    if arguments.bundle is not None:
        return _bundle_alone(arguments, named, console)
    text = arguments.target
    if "://" in text or (not (Path(text) / "trueup.toml").is_file() and (Path(text) / "serving").is_dir()):
        return _lake(arguments, named)
    folder = project_folder(text)
    if not (folder / "trueup.toml").is_file():
        raise WrongUsage(
            f"{folder} is no project (it has no trueup.toml) and no lake (it has no serving/); name one of them, or "
            "serve one bundle alone: trueup serve --bundle FILE"
        )
    return _project(folder, arguments, named, console)


def _project(folder: Path, arguments: argparse.Namespace, named: list[Path], console: Console) -> Target:
    """Serve a project's lake; its last bundle is published where nothing was before."""
    from trueup.bundle.trust import trusted_keys
    from trueup.lake.desired_state import desired_key, refuse_lost
    from trueup.lake.folder_store import FolderStore

    workspace = open_workspace(folder)
    trusted = trusted_keys(workspace.keys, more=named)
    store = FolderStore(workspace.root / "lake")
    name = project_name(folder)
    if not store.exists(desired_key(name)):
        refuse_lost(store, name)
        name = _publish_last(folder, workspace, trusted=trusted, console=console)
    token = workspace.keys / TOKEN_FILE
    return Target(
        lake=str(store.folder),
        projects=(name,),
        spool=_spool(arguments, workspace.root / "serving"),
        trusted=trusted,
        token_file=token if _lets_in(token, store, name) else None,
    )


def _lets_in(file: Path, store: Store, project: str) -> bool:
    """Return whether a file holds the token of a caller who is let in: it is revoked like any other."""
    from trueup.lake.desired_state import read_desired, token_digest
    from trueup.lake.errors import LakeError

    if not file.is_file():
        return False
    try:
        granted = {token.sha256 for token in read_desired(store, project).tokens}
    except LakeError:  # servers start from their own copy, and say what is wrong
        return True
    return token_digest(file.read_text(encoding="utf-8").strip()) in granted


def _publish_last(folder: Path, workspace: Workspace, *, trusted: tuple[Path, ...], console: Console) -> str:
    from trueup.align.project_file import read_project
    from trueup.loop.serve import Serving

    project = read_project(folder)
    last = workspace.root / "lake" / "last-bundle"
    if not last.is_file():
        raise NothingPackaged(
            f"{project.name} has no bundle to serve yet; train one first: trueup train {folder}", project=project.name
        )
    bundle = last.parent / "bundles" / last.read_text(encoding="utf-8").strip()
    serving = Serving(project.serving.durability, project.data.personal)
    lake = workspace.root / "lake"
    manifest = _publish(
        lake, bundle, trusted=trusted, serving=serving, token_file=workspace.keys / TOKEN_FILE, console=console
    )
    return manifest.project


def _publish(
    lake: Path, bundle: Path, *, trusted: tuple[Path, ...], serving: Serving, token_file: Path, console: Console
) -> Manifest:
    from trueup.lake.folder_store import FolderStore
    from trueup.loop.serve import publish_first

    published = publish_first(
        FolderStore(lake),
        bundle,
        trusted_keys=trusted,
        today=dt.datetime.now(dt.UTC).date(),
        serving=serving,
        by=who_asks(),
        now=time.time_ns() // 1000,
        first_token=lambda: first_token(token_file),
    )
    if published.token is not None:
        console.note(
            f"{published.state.project}: bundle {published.state.champion.digest[:12]} is published as champion"
        )
    return published.manifest


def first_token(file: Path) -> str:
    """Return the token that a file keeps for its owner alone, made where there is none; whole, or not there."""
    if not file.is_file():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            written.write(secrets.token_urlsafe(32))
        with contextlib.suppress(FileExistsError):  # another command was faster
            os.link(made, file)
        made.unlink()
    return file.read_text(encoding="utf-8").strip()


def _bundle_alone(arguments: argparse.Namespace, named: list[Path], console: Console) -> Target:
    """Serve one bundle without its project: its own policy decides, in a lake beside the server."""
    from trueup.bundle.archive import import_archive
    from trueup.bundle.trust import trusted_keys
    from trueup.loop.serve import Serving

    here = Workspace(project_folder(arguments.target))
    trusted = trusted_keys(here.keys, more=named)
    spool = _spool(arguments, Path("trueup-serving").resolve())
    lake = spool / "lake"
    found = Path(arguments.bundle)
    if not found.exists():
        raise NothingPackaged(f"there is no bundle at {found}; name its folder or archive", path=str(found))
    bundle = found
    if found.is_file():
        today = dt.datetime.now(dt.UTC).date()
        bundle = import_archive(found, into=lake / "bundles", trusted_keys=trusted, today=today)
    token_file = spool / TOKEN_FILE
    manifest = _publish(lake, bundle, trusted=trusted, serving=Serving(), token_file=token_file, console=console)
    _copy_into(lake, bundle, manifest)
    return Target(
        str(lake), (manifest.project,), spool, trusted, token_file=token_file if token_file.is_file() else None
    )


def _copy_into(lake: Path, bundle: Path, manifest: Manifest) -> None:
    import shutil

    if not (lake / "bundles" / manifest.digest).exists():
        shutil.copytree(bundle, lake / "bundles" / manifest.digest)


def _lake(arguments: argparse.Namespace, named: list[Path]) -> Target:
    """Serve everything that is desired in a lake."""
    from trueup.compute.pool import run_stream

    # an object store's client has threads that do not live on in forked workers, which would wait for them for ever:
    # another process than the one that forks asks it
    [projects] = run_stream(_served_in, [arguments.target], workers=2 if "://" in arguments.target else 1)
    if not projects:
        lake = arguments.target
        raise NothingPackaged(f"nothing is desired in {lake}; publish a project there first", lake=lake)
    if not named:
        raise WrongUsage("name the public key whose bundles are believed: --trust KEY.pub")
    return Target(arguments.target, projects, _spool(arguments, Path("trueup-serving").resolve()), tuple(named))


def _served_in(lake: str) -> tuple[str, ...]:
    from trueup.lake.desired_state import desired_key, refuse_lost
    from trueup.lake.stores import open_store, options_in

    store = open_store(lake, options=options_in(os.environ))
    projects = served_projects(store)
    for project in projects:
        if not store.exists(desired_key(project)):
            refuse_lost(store, project)
    return projects


def _refuse_read_only(spool: Path) -> None:
    """Raise where a server could not log: each of its processes would end with that, again and again.

    Raises
    ------
    EnvironmentUnfit
    """
    reason = "it is not this user's to write, or its disk is read-only"
    try:
        spool.mkdir(parents=True, exist_ok=True)
        written = [spool, *(path for path in spool.iterdir() if path.is_dir() or path.name == "sealing.log")]
        refused = next((path for path in written if not os.access(path, os.W_OK)), None)
    except OSError as error:
        refused, reason = spool, (error.strerror or str(error)).lower()
    if refused is not None:
        raise EnvironmentUnfit(
            f"{refused} cannot be written ({reason}), and a server logs there before it answers; name a folder of its "
            "own: --spool FOLDER",
            folder=str(refused),
        )


def _spool(arguments: argparse.Namespace, otherwise: Path) -> Path:
    return Path(arguments.spool).resolve() if arguments.spool else otherwise


# --- sockets


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens, shared by all processes.

    Raises
    ------
    EnvironmentUnfit
        When the port is taken or the address is not one of this machine.
    """
    listening: socket.socket | None = None
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        if listening is not None:
            listening.close()
        raise EnvironmentUnfit(
            f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}; name another: --port N",
            host=host,
            port=port,
        ) from error
    listening.setblocking(False)
    return listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _nothing() -> None:
    """Say nothing: another process of this server does."""
