"""In which environment was a model made, and is this one the same?"""

from __future__ import annotations

import ast
import importlib.metadata
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

_ROOT = "trueup"
_KNOWN_HASHES = "known_hashes.lock"
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=(\S+)")


@dataclass(frozen=True)
class EnvironmentDifference:
    """One distribution that is not here as it was in development."""

    name: str
    locked: str
    found: str | None
    """None where it is not installed."""

    def __str__(self) -> str:
        return (
            f"{self.name} {self.locked} is {self.found} here" if self.found else f"{self.name} {self.locked} is absent"
        )


def lock_environment(*, requirements_lock: str = "", imported: Iterable[str] = ()) -> str:
    """Return the content of ``environment.lock`` for the running interpreter.

    Parameters
    ----------
    requirements_lock : str
        Text of the project's ``requirements.lock``: its hashes are taken over for the versions that are installed. For
        what it does not pin, those of Trueup's own lock are.
    imported : iterable of str
        Modules that the project's code imports; the distributions they come from are locked too.

    Returns
    -------
    str
        ``python==...`` first, then every installed distribution that Trueup and these modules need, sorted, one a line.
    """
    hashes = {**_known_hashes(), **_hashes(requirements_lock)}
    lines = [f"python=={platform.python_version()}"]
    for name, version in sorted(_closure([_ROOT, *_distributions_of(imported)]).items()):
        known = "".join(f" --hash={digest}" for digest in sorted(hashes.get((name, version), ())))
        lines.append(f"{name}=={version}{known}")
    return "\n".join(lines) + "\n"


def compare_environment(lock: str) -> tuple[EnvironmentDifference, ...]:
    """Return what differs between an ``environment.lock`` and the running interpreter, in the lock's order."""
    found = [(name, locked, _version(name)) for name, locked in locked_versions(lock).items()]
    return tuple(EnvironmentDifference(name, locked, here) for name, locked, here in found if here != locked)


def locked_versions(lock: str) -> dict[str, str]:
    """Return the version of each distribution in an ``environment.lock``; Python itself is ``python``."""
    matches = (_PINNED.match(line) for line in lock.splitlines())
    return {match[1]: match[2] for match in matches if match}


def locked_hashes(lock: str) -> dict[str, tuple[str, ...]]:
    """Return the hashes of each distribution in an ``environment.lock``; Python and Trueup itself are left out."""
    own = {"python", _ROOT}
    return {name: tuple(sorted(found)) for (name, _), found in _hashes(lock).items() if name not in own}


def without_hash(lock: str) -> tuple[str, ...]:
    """Return the distributions in an ``environment.lock`` that no hash holds, so that they cannot be fetched again."""
    return tuple(name for name, hashes in locked_hashes(lock).items() if not hashes)


def imported_modules(code: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the top-level modules that Python files import, those among the files themselves left out, sorted.

    A file that is no valid Python contributes nothing.
    """
    own = {path.partition("/")[0].removesuffix(".py") for path in code}
    names = {name for path, content in code.items() if path.endswith(".py") for name in _imports(content)}
    return tuple(sorted(names - own))


def _imports(content: bytes) -> Iterator[str]:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _distributions_of(modules: Iterable[str]) -> list[str]:
    wanted = sorted(set(modules))
    if not wanted:
        return []
    known = importlib.metadata.packages_distributions()
    return [name for module in wanted for name in sorted(set(known.get(module, ())))]


def _closure(roots: Iterable[str]) -> dict[str, str]:
    """Return name and version of all installed distributions the roots need; extras are not followed."""
    versions: dict[str, str] = {}
    waiting = [normal_name(root) for root in roots]
    while waiting:
        name = waiting.pop()
        version = None if name in versions else _version(name)
        if version is None:
            continue
        versions[name] = version
        for requirement in importlib.metadata.requires(name) or ():
            match = _NAME.match(requirement)
            if match and "extra ==" not in requirement:
                waiting.append(normal_name(match[0]))
    return versions


def _version(name: str) -> str | None:
    if name == "python":
        return platform.python_version()
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _known_hashes() -> dict[tuple[str, str], set[str]]:
    """Return the hashes that Trueup was released with; `make lock` writes them."""
    return _hashes(files("trueup.bundle").joinpath(_KNOWN_HASHES).read_text("utf-8"))


def _hashes(requirements_lock: str) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    current: set[str] = set()
    for line in requirements_lock.splitlines():
        match = _PINNED.match(line)
        if match:
            current = found.setdefault((normal_name(match[1]), match[2]), set())
        current.update(_HASH.findall(line))
    return found


def normal_name(name: str) -> str:
    """Return the one spelling of a distribution's name, as PEP 503 says."""
    return re.sub(r"[-_.]+", "-", name).lower()
