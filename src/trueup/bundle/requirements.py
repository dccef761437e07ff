"""What does a model's ``requirements.txt`` ask for that is not so here?"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator

from packaging.requirements import InvalidRequirement, Requirement

_NOT_NEEDED = ("mlflow", "mlflow-skinny")
"""The model answers without them."""


def requirement_differences(lines: Iterable[str]) -> tuple[str, ...]:
    """Return one sentence for each requirement that the running environment does not meet.

    Lines that are no requirement of a distribution (options, URLs, paths) are named as not compared.

    Examples
    --------
    >>> requirement_differences(["numpy>=1", "mlflow==2.1", "-r other.txt"])
    ('"-r other.txt" was not compared',)
    """
    return tuple(_differences(lines))


def _differences(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        try:
            requirement = Requirement(line.partition(" #")[0].strip())
        except InvalidRequirement:
            yield f'"{line}" was not compared'
            continue
        if requirement.name.lower() in _NOT_NEEDED or (requirement.marker and not requirement.marker.evaluate()):
            continue
        found = _version(requirement.name)
        if found is None:
            yield f"{requirement} is absent"
        elif not requirement.specifier.contains(found, prereleases=True):
            yield f"{requirement} was asked for, and {found} is here"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
