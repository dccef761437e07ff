"""Which predictor does a bundle answer with, and how equal to the original was it shown to be?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from trueup.bundle.errors import BadManifest

Kind = Literal["compiled", "onnx", "hybrid", "original"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order of preference."""


@dataclass(frozen=True)
class Served:
    """The manifest's entry about what answers."""

    kind: Kind
    """compiled or onnx: in the caller's process; hybrid or original: in a process that holds the model."""
    tolerance: float
    """Difference that a golden row may have, relative above 1; 0 for the original: the last bit counts."""
    cutoff: float | None
    """Score from which a case is acted on: decisions are compared there. None where a score decides nothing."""
    slow_parts: tuple[str, ...] = ()
    """Parts that stay in Python, each with its reason."""

    @property
    def plan_needed(self) -> bool:
        """Return whether the bundle holds a ``predictor/``."""
        return self.kind != "original"


def parse_served(document: Mapping[str, Any]) -> Served:
    """Return the entry of a manifest.

    Raises
    ------
    BadManifest
        When it is none.
    """
    if set(document) != {"kind", "tolerance", "cutoff", "slow_parts"}:
        raise BadManifest("the manifest is refused: its predictor must have a kind, tolerance, cut-off and slow parts")
    kind, tolerance, cutoff, slow = (document[name] for name in ("kind", "tolerance", "cutoff", "slow_parts"))
    if kind not in KINDS:
        raise BadManifest(f"the manifest is refused: its predictor must be one of {', '.join(KINDS)}")
    if not isinstance(tolerance, float) or not 0 <= tolerance <= 1e-6:
        raise BadManifest("the manifest is refused: its predictor's tolerance must be from 0 to 1e-6", seen=tolerance)
    if not isinstance(cutoff, float | None) or not isinstance(slow, list) or not all(isinstance(s, str) for s in slow):
        raise BadManifest("the manifest is refused: its predictor's cut-off or slow parts have the wrong type")
    return Served(kind, tolerance, cutoff, tuple(slow))
