"""How is a fast predictor tried without trusting it? In a fresh, confined process that never held the model."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from trueup.bundle.asking import ask_once
from trueup.bundle.candidates import Candidate, Offer
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import GoldenRow
from trueup.bundle.offering import candidate_of, trial_message
from trueup.bundle.scoring import child_environment

MOST_SECONDS = 600
"""After this long a predictor counts as failed."""


def prove_apart(
    offer: Offer, rows: Sequence[GoldenRow], *, features: Sequence[FeatureSpec], cutoff: float | None
) -> Candidate:
    """Return what a fresh process found about an offer; one that crashes or hangs is not proven, and says so."""
    if offer.plan is None:
        return Candidate(offer, None)
    head, body = trial_message(offer, rows, features=features, cutoff=cutoff)
    with tempfile.TemporaryDirectory(prefix="trueup-proving-") as scratch:
        asked = ask_once(
            "trueup.bundle.proving_process",
            {**head, "scratch": scratch},
            body,
            environment=child_environment() | {"TMPDIR": scratch},
            seconds=MOST_SECONDS,
        )
    if asked.answer is None:
        late = f"it took more than {MOST_SECONDS} seconds"
        return Candidate(offer, None, late if asked.late else f"its process ended with {asked.how_it_ended}")
    return candidate_of(offer, asked.answer[0])
