"""What kinds of value does an expression know, and how does it say no?"""

from __future__ import annotations

from typing import Literal

from trueup.kernel.errors import Mistake, TrueupError

Kind = Literal["number", "text", "boolean", "moment"]
"""What a value is. Integers and decimals are numbers, dates are moments."""


class ExpressionError(TrueupError):
    """A text is not an expression, or uses something that expressions may not."""

    code = "kernel.bad-expression"

    def __init__(self, reason: str, *, where: str, text: str) -> None:
        super().__init__(f"{where}: {reason}", where=where, expression=text)
        self.reason = reason
        """The message without its place."""
        self.where = where

    def mistake(self) -> Mistake:
        """Return the error as one of many."""
        return Mistake(self.where, self.reason)
