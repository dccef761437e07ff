"""What may a program tell a server about a case? What became of it, what was done, what a reviewer said, what happened.

All are frozen. `known_at` is when the business knew, with its offset (a text or a datetime); left out: now. `fact_id`
is minted by the client, and a fact that is sent again with it counts once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec

Moment = dt.datetime | str | None


class _Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    association_id: str | int | None = None
    known_at: Moment = None
    fact_id: str | None = None


class _OfPrediction(_Fact, frozen=True, kw_only=True, omit_defaults=True):
    prediction_id: str | None = None


class Outcome(_OfPrediction, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a case."""

    outcome: bool | float | str | None
    """None takes back what was said before."""


class Intervention(_OfPrediction, frozen=True, kw_only=True, omit_defaults=True):
    """What was really done with a case."""

    acted: bool
    note: str | None = None


class Verdict(_OfPrediction, frozen=True, kw_only=True, omit_defaults=True):
    """What a reviewer said of a decision."""

    agrees: bool
    reviewer: str
    reason: str | None = None


class Event(_Fact, frozen=True, kw_only=True, omit_defaults=True):
    """A dated business fact."""

    kind: str
    facts: Mapping[str, Any] = {}  # a default of msgspec is copied, and nothing writes here


Fact = Outcome | Intervention | Verdict | Event
