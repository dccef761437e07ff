"""What is each part of an expression: a number, text, yes or no, or a moment?

A project file is read before its table is known, so a column is open until its place says what it must be. What is put
together must be of one kind; nothing is converted silently but yes or no into 1 or 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from trueup.kernel.expression_terms import ExpressionError, Kind
from trueup.kernel.rowplan import Plan
from trueup.kernel.rowvalues import moment_from_text

SAID = {"number": "a number", "boolean": "yes or no", "text": "text", "moment": "a moment", None: "open"}
_LOOKS_LIKE_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?Z?")


@dataclass(frozen=True)
class Part:
    """A plan and what it gives; an interval is an amount of `unit`."""

    plan: Plan
    kind: Kind | None
    unit: str | None = None


class KindReader:
    """Finds the kinds of the parts of one expression, and refuses what does not fit."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where

    def refuse(self, reason: str) -> NoReturn:
        """Raise `ExpressionError` with the expression in front."""
        raise ExpressionError(f'"{self.text}": {reason}', where=self.where, text=self.text)

    def together(self, parts: list[Part]) -> list[Part]:
        """Return the parts as one kind, where any of them says which."""
        if any(part.unit for part in parts):
            self.refuse("an interval can only be added to a moment, taken from it, or multiplied by a number")
        kinds = {part.kind for part in parts if part.kind}
        if "text" in kinds and all(looks_like_moment(part) for part in parts if part.kind == "text"):
            kinds = kinds - {"text"} | {"moment"}
        if kinds == {"number", "boolean"}:
            kinds = {"number"}
        if len(kinds) > 1:
            self.refuse(f"it puts {' and '.join(sorted(SAID[kind] for kind in kinds))} together; write a CAST")
        return [self.as_kind(part, kind) for part in parts for kind in kinds] if kinds else parts

    def as_kind(self, part: Part, kind: Kind) -> Part:
        """Return the part as `kind`, or refuse it."""
        if part.unit:
            self.refuse(f"an interval stands where {SAID[kind]} is needed")
        if part.kind == kind:
            return part
        if part.kind is None:
            return Part(open_as(part.plan, kind), kind)
        if part.kind == "boolean" and kind == "number":
            return Part(("cast", "number", part.plan), kind)
        if kind != "moment" or not looks_like_moment(part):
            self.refuse(f"{SAID[part.kind]} stands where {SAID[kind]} is needed")
        return self.moment_literal(part.plan[1])

    def settled(self, part: Part) -> Part:
        """Return the part, or refuse one of which nothing says what it is."""
        if part.kind is None and part.plan[0] not in ("column", "null"):
            self.refuse("nothing says whether this is a number, text, yes or no, or a moment; write a CAST")
        return part

    def moment_literal(self, text: str) -> Part:
        """Return the moment that a text in quotes is."""
        moment = moment_from_text(text)
        if moment is None:
            self.refuse(f"'{text}' is not a date; write it as 2016-05-31 or 2016-05-31 14:00:00")
        return Part(("moment", moment.isoformat(" ")), "moment")


def open_as(plan: Plan, kind: Kind) -> Plan:
    """Return a plan of open kind with its columns read as `kind`."""
    operation = plan[0]
    if operation == "column":
        return ("column", plan[1], kind)
    if operation == "case":
        branches = tuple((condition, open_as(value, kind)) for condition, value in plan[1])
        return ("case", branches, open_as(plan[2], kind))
    if operation in ("coalesce", "nullif", "greatest", "least"):
        return (operation, *(open_as(part, kind) for part in plan[1:]))
    return plan


def looks_like_moment(part: Part) -> bool:
    """Return whether a part is a text in quotes that is written as a date is."""
    return part.plan[0] == "text" and _LOOKS_LIKE_MOMENT.fullmatch(part.plan[1]) is not None
