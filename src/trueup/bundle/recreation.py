"""How does a bundle get the environment it was made in back? Its lock, installed by hash into a folder of its own.

Only wheels are taken, so nothing of a package runs while it is installed; the running environment is never touched.
An environment is made once for each lock and kept: it is found by the digest of what it holds.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trueup
from trueup.bundle.environment import locked_hashes, locked_versions, without_hash
from trueup.bundle.errors import EnvironmentUnavailable, LockRefused
from trueup.kernel.digests import digest_of, digest_of_bytes

_READY = "ready"
_NO_SUCH = (
    "no version of",
    "no matching distribution",
    "no wheels",
    "no usable wheels",
    "no compatible",
    "unsatisfiable",
)
_NO_INDEX = (
    "connect",
    "connection",
    "dns",
    "error sending request",
    "failed to fetch",
    "network",
    "offline",
    "retrying",
    "timed out",
)
_URL = re.compile(r"\w+://\S+")


@dataclass(frozen=True)
class EnvironmentPlan:
    """What is to be installed, and where it will be."""

    folder: Path
    requirements: str
    """One line for each distribution: its version and hashes."""
    python: str
    """Version of Python in the lock."""

    @property
    def interpreter(self) -> Path:
        """Return the Python of the environment."""
        return self.folder / "bin" / "python"

    @property
    def is_ready(self) -> bool:
        """Return whether it was made before."""
        return (self.folder / _READY).is_file()


def plan_environment(lock: str, *, cache: Path) -> EnvironmentPlan:
    """Return the environment of an ``environment.lock``; nothing is made yet.

    Raises
    ------
    LockRefused
        A distribution has no hash, so nobody could tell whether it is the same.
    """
    lacking = without_hash(lock)
    if lacking:
        raise LockRefused(
            f"the environment is not made: {len(lacking)} distributions of environment.lock have no hash "
            f"({', '.join(lacking[:5])}); pin them in the project's requirements.lock and package again, or run the "
            "bundle in the environment that is there, with --in-place",
            distributions=list(lacking),
        )
    versions = locked_versions(lock)
    lines = (
        f"{name}=={versions[name]}{''.join(f' --hash={digest}' for digest in hashes)}\n"
        for name, hashes in sorted(locked_hashes(lock).items())
    )
    requirements = "".join(lines)
    key = digest_of([requirements, versions.get("python"), platform.machine(), _own_digest()])
    return EnvironmentPlan(cache / key[:32], requirements, versions.get("python", platform.python_version()))


def make_environment(plan: EnvironmentPlan) -> EnvironmentPlan:
    """Make the environment of a plan, unless it is there; two processes at once make it once.

    Raises
    ------
    LockRefused
        A file has another hash than the lock says, or a version does not exist.
    EnvironmentUnavailable
        The package index does not answer, the Python of the lock is not on this machine, or there is no space.
    """
    try:
        with _only_one(plan.folder):
            if not plan.is_ready:
                shutil.rmtree(plan.folder, ignore_errors=True)
                _make(plan)
                _add_trueup(plan)
                (plan.folder / _READY).touch()
    except OSError as error:
        raise EnvironmentUnavailable(
            f"the environment cannot be made in {plan.folder}: {error.strerror}; free some space or set XDG_CACHE_HOME",
            path=str(plan.folder),
        ) from error
    return plan


def _make(plan: EnvironmentPlan) -> None:
    plan.folder.mkdir(parents=True)
    listed = plan.folder / "requirements.txt"
    listed.write_text(plan.requirements, encoding="utf-8")
    python = _python(plan.python)
    uv = shutil.which("uv")
    if uv is None:
        _run([python, "-m", "venv", str(plan.folder)])
        pip = [str(plan.interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(listed)])
        return
    _run([uv, "venv", "--quiet", "--allow-existing", "--no-project", "--python", python, str(plan.folder)])
    install = [uv, "pip", "install", "--quiet", "--python", str(plan.interpreter), "--no-deps"]
    strict = ["--only-binary", ":all:", "--require-hashes", "-r", str(listed)]
    try:
        # what is in uv's cache needs no index; hashes are compared all the same
        _run([*install, "--offline", *strict])
    except (LockRefused, EnvironmentUnavailable):
        _run([*install, *strict])


def _add_trueup(plan: EnvironmentPlan) -> None:
    """Copy the running Trueup into an environment, with the record that says its version."""
    source = Path(trueup.__file__).parent
    [target] = plan.folder.glob("lib/python*/site-packages")
    shutil.copytree(source, target / "trueup", ignore=shutil.ignore_patterns("__pycache__"))
    record = target / f"trueup-{trueup.__version__}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: trueup\nVersion: {trueup.__version__}\n"
        + "".join(f"Requires-Dist: {name}\n" for name in sorted(locked_versions(plan.requirements))),
        encoding="utf-8",
    )


def _own_digest() -> str:
    source = Path(trueup.__file__).parent
    files = sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return digest_of([[path.relative_to(source).as_posix(), digest_of_bytes(path.read_bytes())] for path in files])


def _python(version: str) -> str:
    """Return an interpreter with the minor version of the lock."""
    minor = version.rpartition(".")[0]
    if platform.python_version().rpartition(".")[0] == minor:
        return sys.executable
    found = shutil.which(f"python{minor}")
    if found is None:
        raise EnvironmentUnavailable(
            f"the bundle was made with Python {version}, and there is no python{minor} on this machine, only "
            f"{platform.python_version()}; install it, or run with --in-place",
            wanted=version,
        )
    return found


def _run(command: Sequence[str]) -> None:
    ran = subprocess.run(  # noqa: S603  # our own words, paths and a list checked by hash
        command, capture_output=True, check=False, text=True, env=_environment()
    )
    if ran.returncode == 0:
        return
    told = " ".join(_URL.sub("the package index", f"{ran.stderr}\n{ran.stdout}").split())
    low = told.lower()
    if "hash" in low and ("mismatch" in low or "do not match" in low):
        raise LockRefused(
            f"the environment is refused: a file has another hash than environment.lock says: {told[:600]}"
        )
    if any(words in low for words in _NO_SUCH) and not any(words in low for words in _NO_INDEX):
        raise LockRefused(f"the environment is refused: the package index has no such file: {told[:600]}")
    raise EnvironmentUnavailable(
        f"the environment of the bundle cannot be made here: {told[:600] or 'no reason given'}"
    )


def _environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return kept | {"UV_PYTHON_DOWNLOADS": "never", "PIP_NO_INPUT": "1"}


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
