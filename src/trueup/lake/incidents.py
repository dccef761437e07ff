"""Which data broke, when, and what did it change? The record for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataIncident:
    """A column that for some days held what it never held before, from one day to the next."""

    column: str
    kind: str
    """above or below (beyond every value before), missing, or new (categories never seen)."""
    first_day: str
    last_day: str
    ongoing: bool
    """Whether it had not ended when the rehearsal did."""
    cases: int
    """Of those days, with such a value."""
    share: float
    """Of the cases of those days, 0 to 1."""
    usual_share: float
    """What was the most in any week before, 0 to 1."""
    only_in: str | None = None
    """The column whose values tell where it happened."""
    only_values: tuple[str, ...] = ()
    factor: float | None = None
    """By what values were probably multiplied, such as 12; None where no factor fits."""
    decisions_changed: int | None = None
    """Cases the first model would have decided otherwise with values as before; None where nothing is decided."""
    effect_on_value: float | None = None
    """What that changed in the value of the final cases, in the currency; negative is a loss."""
