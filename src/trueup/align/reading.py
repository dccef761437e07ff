"""Is this section of a TOML file what it should be? Typed reading that collects every mistake."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from trueup.kernel.durations import BadDuration, Duration, parse_duration
from trueup.kernel.errors import Mistake, nearest_spelling
from trueup.kernel.expression_terms import ExpressionError, Kind
from trueup.kernel.expressions import Expression, parse_aggregate, parse_expression

_PLACEHOLDER = re.compile(r"^<[a-z][^<>]*>")
"""What `trueup init` leaves to be filled in; no expression starts with an angle bracket."""
T = TypeVar("T")
_LIKE_A_NAME = re.compile(r"\w+(?:[ .-]+\w+)+")


class Section:
    """One table of the file. Each getter notes what is wrong and goes on with None or the default.

    Parameters
    ----------
    values : mapping
        The parsed TOML table.
    path : str
        Its dotted name; empty for the whole file.
    mistakes : list of Mistake
        Shared by all sections of a file.
    """

    def __init__(self, values: Mapping[str, Any], path: str, *, file: str, mistakes: list[Mistake]) -> None:
        self._values = values
        self._path = path
        self._file = file
        self._mistakes = mistakes
        self._asked: list[str] = []

    def where(self, key: str = "") -> str:
        """Return file and dotted key."""
        return f"{self._file}: {'.'.join(part for part in (self._path, key) if part)}"

    def wrong(self, key: str, message: str) -> None:
        """Note a mistake."""
        self._mistakes.append(Mistake(self.where(key), message))

    def has(self, key: str) -> bool:
        """Return whether the key is written."""
        return key in self._values

    def keys(self) -> tuple[str, ...]:
        """Return every key that is written."""
        return tuple(self._values)

    def take(self, key: str) -> Any:
        """Return the raw value, None when absent."""
        self._asked.append(key)
        return self._values.get(key)

    def finish(self) -> None:
        """Note every key that nothing asked for, with the nearest spelling."""
        known = dict.fromkeys(self._asked)
        for key in self._values:
            if key not in known:
                hint = nearest_spelling(key, known) or f"; allowed: {', '.join(known)}"
                self.wrong(key, f'the key "{key}" is not known here{hint}')

    # --- values

    def text(self, key: str, *, example: str | None = None) -> str | None:
        """Return a text that is not blank; with `example` the key must be there."""
        value = self.take(key)
        if value is None:
            self._missing(key, example)
            return None
        if not isinstance(value, str):
            self._not(key, value, "text in quotes", example)
            return None
        if not value.strip():
            self.wrong(key, f"it is empty; write for example {key} = {example}" if example else "it is empty")
            return None
        return None if self._is_placeholder(key, value) else value

    def number(
        self, key: str, *, low: float = -math.inf, high: float = math.inf, unit: str = "", example: str | None = None
    ) -> float | None:
        """Return a finite number from `low` to `high`."""
        value = self.take(key)
        if value is None:
            self._missing(key, example)
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self._not(key, value, f"a number{unit} without quotes", example)
            return None
        if not low <= value <= high:
            self._not(key, value, f"a number{unit} {_range(low, high)}", example)
            return None
        return float(value)

    def share(self, key: str, *, example: str | None = None) -> float | None:
        """Return a share from 0 to 1."""
        value = self._values.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 1 < value <= 100:
            self.take(key)
            self._not(key, value, f"a share from 0 to 1 ({value:g} % is {value / 100:g})", example)
            return None
        return self.number(key, low=0, high=1, unit=" (a share)", example=example)

    def whole(self, key: str, *, low: int, example: str | None = None) -> int | None:
        """Return an integer of at least `low`."""
        value = self.take(key)
        if value is None:
            self._missing(key, example)
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            self._not(key, value, f"a whole number, {low} or more", example)
            return None
        return value

    def choice(self, key: str, allowed: tuple[str, ...], *, example: str | None = None) -> str | None:
        """Return one of the allowed words."""
        value = self.take(key)
        if value is None:
            self._missing(key, example)
            return None
        if value not in allowed:
            hint = nearest_spelling(value, allowed) if isinstance(value, str) else ""
            self._not(key, value, f"one of {', '.join(allowed)}{hint}", None)
            return None
        return str(value)

    def texts(self, key: str, *, example: str | None = None) -> tuple[str, ...]:
        """Return a list of texts; a single text counts as a list of one."""
        value = self.take(key)
        if value is None:
            self._missing(key, example)
            return ()
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(entry, str) and entry.strip() for entry in listed):
            self._not(key, value, "a list of texts in quotes", example)
            return ()
        repeated = sorted({entry for entry in listed if listed.count(entry) > 1})
        if repeated:
            self.wrong(key, f'"{repeated[0]}" is listed twice; name each once')
        return tuple(listed)

    def duration(self, key: str, *, example: str | None = None) -> Duration | None:
        """Return a duration above 0, such as 30d."""
        text = self.text(key, example=example)
        if text is None:
            return None
        try:
            length = parse_duration(text)
        except BadDuration as error:
            self.wrong(key, error.message)
            return None
        if length.microseconds == 0:
            self._not(key, text, "a duration above 0", example)
            return None
        return length

    def date(self, key: str) -> str | None:
        """Return a local date as ISO text; written as text or as a TOML date."""
        value = self.take(key)
        if value is None:
            return None
        try:
            return dt.date.fromisoformat(value).isoformat() if isinstance(value, str) else _plain_date(value)
        except (TypeError, ValueError):
            self._not(key, value, "a date", "2015-10-01")
            return None

    def expression(self, key: str, *, expects: Kind | None = None, example: str | None = None) -> str | None:
        """Return the text of a valid expression over the row."""
        return self._parsed(key, example, lambda text, where: parse_expression(text, where=where, expects=expects))

    def aggregate(self, key: str, *, example: str) -> str | None:
        """Return the text of a valid figure over many cases."""
        return self._parsed(key, example, lambda text, where: parse_aggregate(text, where=where))

    def parsed(self, key: str, parse: Callable[[str], T], *, example: str | None = None) -> T | None:
        """Return a text as `parse` reads it; its ValueError is the mistake."""
        text = self.text(key, example=example)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.wrong(key, str(error))
            return None

    # --- sections within

    def section(self, key: str) -> Section | None:
        """Return a table within this one, None when absent."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self._not(key, value, f"a section, written as [{self._dotted(key)}]", None)
            return None
        return Section(value, self._dotted(key), file=self._file, mistakes=self._mistakes)

    def sections(self, key: str) -> list[Section]:
        """Return the tables of a list of tables."""
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self._not(key, value, f"sections, each written as [[{self._dotted(key)}]]", None)
            return []
        names = [
            f"{self._dotted(key)}[{number}]" if len(value) > 1 else self._dotted(key)
            for number in range(1, len(value) + 1)
        ]
        return [
            Section(entry, name, file=self._file, mistakes=self._mistakes)
            for entry, name in zip(value, names, strict=True)
        ]

    # --- shared

    def _is_placeholder(self, key: str, value: str) -> bool:
        found = _PLACEHOLDER.search(value)
        if found:
            self.wrong(key, f"it still holds the placeholder {found[0]}; write what is meant")
        return found is not None

    def _parsed(self, key: str, example: str | None, parse: Callable[[str, str], Expression]) -> str | None:
        value = self.take(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._not(key, value, "an expression in quotes", f'"{value}"')
            return None
        if value is None:
            self._missing(key, example)
            return None
        if not isinstance(value, str):
            self._not(key, value, "an expression in quotes", example)
            return None
        if self._is_placeholder(key, value):
            return None
        try:
            parse(value, self.where(key))
        except ExpressionError as error:
            self.wrong(key, error.reason + _quoting_hint(value))
            return None
        return value

    def _dotted(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _missing(self, key: str, example: str | None) -> None:
        if example is not None:
            self.wrong(key, f"this key is missing; write for example {key} = {example}")

    def _not(self, key: str, seen: object, expected: str, example: str | None) -> None:
        shown = f'"{seen}"' if isinstance(seen, str) else f"{seen}"
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        tail = f", such as {example}" if example else ""
        self.wrong(key, f"{shown} is not {expected}{tail}")


def _quoting_hint(text: str) -> str:
    return f"; a column of that name is written '\"{text}\"'" if _LIKE_A_NAME.fullmatch(text) else ""


def _plain_date(value: object) -> str:
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise TypeError
    return value.isoformat()


def _range(low: float, high: float) -> str:
    if high == math.inf:
        return "of 0 or more" if low == 0 else f"of {low:g} or more"
    return f"from {low:g} to {high:g}"
