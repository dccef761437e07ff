"""Which model decides now, which is on its way, and which one do we go back to?

A release goes through the charter's exposure steps (shadow, canary, full), each for its bake period. Going back is one
step: the candidate is withdrawn, else the previous champion decides again. Pure: a rollout goes in, the next comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trueup.align.charter import ExposureStep


@dataclass(frozen=True)
class Live:
    """A model that decides, or is on its way to."""

    name: str
    since: int
    trained_as_of: int
    promised_value_per_case: float | None = None
    """What its recipe earned per case on later cases when it was released."""
    estimated_value_per_case: float | None = None
    """What it expected of itself on recent cases when it was released."""
    performance: float | None = None


@dataclass(frozen=True)
class Exposure:
    """A release on its way to everybody."""

    live: Live
    step: int
    step_since: int


@dataclass(frozen=True)
class Rollout:
    """Who decides, who may, and who did before."""

    champion: Live
    previous: Live | None = None
    candidate: Exposure | None = None

    def can_go_back(self, steps: Sequence[ExposureStep]) -> bool:
        """Return whether there is a model that decides cases now and another to go back to."""
        return deciding_share(self, steps) > 0 or self.previous is not None


def start_release(rollout: Rollout, live: Live, *, steps: Sequence[ExposureStep], as_of: int) -> Rollout:
    """Return the rollout after a model was put on its way: at the first step, or at once where full is the only one."""
    if len(steps) > 1:
        return replace(rollout, candidate=Exposure(live, 0, as_of))
    return Rollout(live, previous=rollout.champion)


def advance(rollout: Rollout, *, steps: Sequence[ExposureStep], as_of: int) -> tuple[Rollout, ExposureStep | None]:
    """Return the rollout after the candidate's bake period, and the step it moved to; None where nothing moved."""
    candidate = rollout.candidate
    length = steps[candidate.step].length if candidate is not None else None
    if candidate is None or length is None or as_of - candidate.step_since < length.microseconds:
        return rollout, None
    step = steps[candidate.step + 1]
    if step.kind == "full":
        return Rollout(replace(candidate.live, since=as_of), previous=rollout.champion), step
    return replace(rollout, candidate=Exposure(candidate.live, candidate.step + 1, as_of)), step


def go_back(rollout: Rollout, steps: Sequence[ExposureStep]) -> Rollout:
    """Return the rollout after the last release was taken back; the same where there is nothing to go back to.

    A candidate that decides cases is withdrawn. One that is only in shadow cannot be to blame: it is withdrawn with
    the champion, for the previous champion.
    """
    if deciding_share(rollout, steps) > 0:
        return replace(rollout, candidate=None)
    return Rollout(rollout.previous) if rollout.previous is not None else rollout


def deciding_share(rollout: Rollout, steps: Sequence[ExposureStep]) -> float:
    """Return the share of cases that the candidate decides now, 0 to 1."""
    return steps[rollout.candidate.step].share if rollout.candidate is not None else 0.0
