"""When are two documents the same? When their canonical JSON has the same SHA-256."""

from __future__ import annotations

import hashlib
import json
import math


def canonical_json(value: object) -> str:
    """Return `value` as JSON with sorted keys, no white space, and numbers as Python prints them.

    Raises
    ------
    ValueError
        For NaN or infinity, which JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: object) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_of_bytes(content: bytes) -> str:
    """Return the SHA-256 of `content`, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def finite_or_none(number: float | None) -> float | None:
    """Return a plain float that JSON can hold; None for None, NaN and infinities."""
    return float(number) if number is not None and math.isfinite(number) else None
