"""Is what a process with somebody's model answered one of our answers? Read strictly: the model's code runs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from trueup.bundle.errors import BundleError, ModelFailed

Read = TypeVar("Read")


class _Told(msgspec.Struct):
    code: str
    message: str
    facts: dict[str, Any]


def read_answer(document: object, kind: type[Read]) -> Read:
    """Return a JSON value as a record.

    Parameters
    ----------
    document : object
        What `wire.receive` gave, or a part of it.
    kind : type
        A dataclass or a type such as ``list[int]``; entries it does not have are passed over.

    Raises
    ------
    ModelFailed
        It has another shape.

    Examples
    --------
    >>> read_answer([1, 2], list[int])
    [1, 2]
    """
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise not_ours(str(error)) from error


def error_from(document: object, kinds: Sequence[type[BundleError]]) -> BundleError:
    """Return the error that an answer tells about, as the class of its code among `kinds`.

    Raises
    ------
    ModelFailed
        It is no error of ours.
    """
    told = read_answer(document, _Told)
    kind = next((kind for kind in kinds if kind.code == told.code), BundleError)
    return kind(told.message, **_facts(told.facts))


def not_ours(what: str) -> ModelFailed:
    """Return the error about an answer that our side of the process never gives; `what` names no value."""
    return ModelFailed(
        f"the process that holds the model answered with something else than was asked for ({what}); the model, or a "
        "library that it loads, writes where only answers go"
    )


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may be the facts of an error: not those that are its own arguments."""
    return {name: value for name, value in facts.items() if name not in ("self", "message")}
