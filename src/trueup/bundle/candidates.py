"""Which ways of answering does a model have, and which of them ships? The proven one that is preferred.

The order is fixed, so that the same inputs give the same bundle; only a way that is more than twice as fast as a
preferred one overtakes it: on a busy machine, measurements closer than that mean little. A hybrid needs the model's
process as the original does, so it ships only where it was measured faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trueup.bundle.proof import Proof
from trueup.bundle.served import KINDS, Kind
from trueup.kernel.digests import canonical_json

OVERTAKES = 2.0
"""How many times as fast a way must be to ship in place of a preferred one."""


@dataclass(frozen=True)
class Offer:
    """One way of answering, before anything about it is proven."""

    kind: Kind
    plan: Mapping[str, Any] | None = None
    """Document of `predictors.predictor`; None where this way does not exist for the model."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    slow_parts: tuple[str, ...] = ()
    """Parts that stay in Python, each with its reason."""
    why_not: str = ""
    """Why there is no plan."""

    @property
    def plan_content(self) -> bytes:
        """Return the bytes of ``predictor/plan.json``."""
        return canonical_json(self.plan).encode()


@dataclass(frozen=True)
class Candidate:
    """One way of answering, and what was found about it."""

    offer: Offer
    proof: Proof | None
    """None where it could not be tried."""
    failed: str = ""
    """Why it could not be tried."""

    @property
    def proven(self) -> bool:
        """Return whether it may ship."""
        return self.proof is not None and self.proof.proven

    @property
    def why_not(self) -> str:
        """Return in words why it may not ship; empty where it may."""
        if self.proof is None:
            return self.failed or self.offer.why_not
        replay = self.proof.replay
        found = [
            f"{replay.differing:,} of {replay.rows:,} golden rows differ, the largest difference is "
            f"{replay.largest_difference:.3g}"
            if replay.differing
            else "",
            f"{replay.decisions_differ:,} decisions differ" if replay.decisions_differ else "",
            f"{self.proof.apart:,} rows get other bits alone than among many" if self.proof.apart else "",
        ]
        return "; ".join(text for text in found if text)


def choose_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """Return what ships: the first proven in the order of preference, unless a later one overtakes it.

    Raises
    ------
    ValueError
        When nothing is proven, not even the original.
    """
    proven = sorted((c for c in candidates if c.proven), key=lambda c: KINDS.index(c.offer.kind))
    original = min((_us(c) for c in proven if c.offer.kind == "original"), default=float("inf"))
    proven = [c for c in proven if c.offer.kind != "hybrid" or _us(c) < original]
    if not proven:
        raise ValueError("no candidate is proven")
    best = proven[0]
    for later in proven[1:]:
        if _us(later) * OVERTAKES < _us(best):
            best = later
    return best


def _us(candidate: Candidate) -> float:
    return candidate.proof.cost.us_per_row if candidate.proof else float("inf")
