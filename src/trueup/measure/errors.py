"""What can be wrong with the numbers handed to a statistic?"""

from __future__ import annotations

from trueup.kernel.errors import TrueupError


class MeasureError(TrueupError):
    """Base of the room's errors."""

    code = "measure.error"


class UnequalLengths(MeasureError):
    """Arrays that describe the same cases differ in length."""

    code = "measure.unequal-lengths"

    @classmethod
    def of(cls, **lengths: int) -> UnequalLengths:
        """Return the error that names each array and its length."""
        seen = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        return cls(f"arrays of the same cases differ in length: {seen}; pass one value per case", **lengths)


class OutOfRange(MeasureError):
    """A parameter is outside of what the formula allows."""

    code = "measure.out-of-range"
