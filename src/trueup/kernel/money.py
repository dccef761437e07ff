"""How is an amount of money written for people?"""

from __future__ import annotations

_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "CHF": "CHF "}
MINUS = "\u2212"


def money_text(amount: float, currency: str, *, signed: bool = False) -> str:
    """Return a full amount without cents: ``€1,467,125``, ``−€64``; with `signed` also ``+€31,000``.

    Examples
    --------
    >>> money_text(1467125.4, "EUR")
    '€1,467,125'
    """
    return f"{_sign(amount, signed)}{_symbol(currency)}{abs(round(amount)):,}"


def short_money_text(amount: float, currency: str, *, signed: bool = False) -> str:
    """Return an amount in two or three significant digits: ``€1.47 M``, ``€212 k``, ``€640``."""
    size = abs(amount)
    if size >= 999_500:
        digits = f"{size / 1e6:.2f}" if size < 99_950_000 else f"{size / 1e6:.0f}"
        figure = f"{digits} M"
    elif size >= 9_950:
        figure = f"{size / 1e3:.0f} k"
    elif size >= 1_000:
        figure = f"{size / 1e3:.1f} k"
    else:
        figure = f"{size:.0f}"
    return f"{_sign(amount, signed)}{_symbol(currency)}{figure}"


def _symbol(currency: str) -> str:
    return _SYMBOLS.get(currency, f"{currency} ")


def _sign(amount: float, signed: bool) -> str:
    if round(amount) < 0:
        return MINUS
    return "+" if signed and round(amount) > 0 else ""
