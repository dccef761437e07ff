"""How is a fast predictor tried without trusting it? In a fresh, confined process that never held the model."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from trueup.bundle.candidates import Candidate, Offer
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import GoldenRow
from trueup.bundle.offering import candidate_of, trial_message
from trueup.bundle.scoring import child_environment
from trueup.bundle.wire import receive, send

MOST_SECONDS = 600
"""After this long a predictor counts as failed."""


def prove_apart(
    offer: Offer, rows: Sequence[GoldenRow], *, features: Sequence[FeatureSpec], cutoff: float | None
) -> Candidate:
    """Return what a fresh process found about an offer; one that crashes or hangs is not proven, and says so."""
    if offer.plan is None:
        return Candidate(offer, None)
    head, body = trial_message(offer, rows, features=features, cutoff=cutoff)
    try:
        code, answer = _ask_fresh_process(head, body)
    except subprocess.TimeoutExpired:
        return Candidate(offer, None, f"it took more than {MOST_SECONDS} seconds")
    answered = receive(io.BytesIO(answer))
    if answered is None:
        return Candidate(offer, None, f"its process ended with {f'signal {-code}' if code < 0 else f'code {code}'}")
    return candidate_of(offer, answered[0])


def _ask_fresh_process(head: Mapping[str, Any], body: bytes) -> tuple[int, bytes]:
    message = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="trueup-proving-") as scratch:
        send(message, {**head, "scratch": scratch}, body)
        ran = subprocess.run(
            [sys.executable, "-P", "-m", "trueup.bundle.proving_process"],
            input=message.getvalue(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment() | {"TMPDIR": scratch},
            timeout=MOST_SECONDS,
            check=False,
        )
    return ran.returncode, ran.stdout
