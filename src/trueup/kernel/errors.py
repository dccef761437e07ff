"""How does Trueup say that something cannot be done?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class TrueupError(Exception):
    """Base of every error a caller may meet.

    Parameters
    ----------
    message : str
        What is wrong, where, the value seen, what is allowed, what to do. Never a row's data, never a secret.
    **facts : object
        The same facts for programs; kept in `facts` and shown by ``--json``.
    """

    code = "kernel.error"

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts: dict[str, object] = facts


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong in something a person wrote."""

    where: str
    """File and key, as in ``trueup.toml: charter.capacity.per``."""
    message: str
    """What was seen, what is allowed, the nearest valid spelling."""


class Mistakes(TrueupError):
    """Everything wrong in one input, reported together."""

    code = "kernel.mistakes"

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        lines = [f"{m.where}: {m.message}" for m in self.mistakes]
        head = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        super().__init__(
            "\n".join([f"{head} to correct:", *(f"  {line}" for line in lines)]),
            mistakes=[{"where": m.where, "message": m.message} for m in self.mistakes],
        )


def nearest_spelling(seen: str, allowed: Iterable[str]) -> str:
    """Return a hint such as `` (did you mean "amount"?)``, or an empty string when nothing is close."""
    close = difflib.get_close_matches(seen, list(allowed), n=1, cutoff=0.6)
    return f' (did you mean "{close[0]}"?)' if close else ""
