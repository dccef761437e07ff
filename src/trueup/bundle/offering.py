"""How do offers and proofs travel between a caller and the processes that make and try them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trueup.bundle.candidates import Candidate, Offer
from trueup.bundle.features import FeatureSpec, features_document
from trueup.bundle.golden import GoldenRow, golden_lines
from trueup.bundle.proof import TOLERANCE, Proof

Message = tuple[dict[str, Any], bytes]
_GOLDEN = ""
"""Name of the part that holds the golden rows; no file has it."""


def offers_message(offers: Sequence[Offer]) -> Message:
    """Return offers as a message; `offers_from` reads it."""
    documents: list[dict[str, Any]] = []
    body = b""
    for offer in offers:
        sizes, content = _joined(offer.files)
        told = {"kind": offer.kind, "plan": offer.plan, "slow_parts": list(offer.slow_parts), "why_not": offer.why_not}
        documents.append({**told, "parts": sizes})
        body += content
    return {"offers": documents}, body


def offers_from(head: Mapping[str, Any], body: bytes) -> tuple[Offer, ...]:
    """Return the offers of a message."""
    offers = []
    for told in head["offers"]:
        size = sum(length for _, length in told["parts"])
        files, body = split_parts(told["parts"], body[:size]), body[size:]
        offers.append(Offer(told["kind"], told["plan"], files, tuple(told["slow_parts"]), told["why_not"]))
    return tuple(offers)


def trial_message(
    offer: Offer,
    rows: Sequence[GoldenRow],
    *,
    features: Sequence[FeatureSpec],
    cutoff: float | None,
    tolerance: float = TOLERANCE,
) -> Message:
    """Return what a process needs to try an offer; `trial_parts` reads the body."""
    sizes, body = _joined({_GOLDEN: golden_lines(rows), **offer.files})
    head = {
        "op": "prove",
        "plan": offer.plan,
        "features": features_document(features),
        "cutoff": cutoff,
        "tolerance": tolerance,
        "parts": sizes,
    }
    return head, body


def trial_parts(head: Mapping[str, Any], body: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Return the golden rows and the plan's files of a message from `trial_message`."""
    files = split_parts(head["parts"], body)
    return files.pop(_GOLDEN), files


def candidate_of(offer: Offer, answer: Mapping[str, Any]) -> Candidate:
    """Return the candidate that the answer to a trial tells about."""
    if "failed" in answer:
        return Candidate(offer, None, answer["failed"])
    return Candidate(offer, Proof.from_json(answer["proof"]))


def split_parts(sizes: Sequence[tuple[str, int]], body: bytes) -> dict[str, bytes]:
    """Return contents by name from a body in which they follow each other."""
    found: dict[str, bytes] = {}
    place = 0
    for name, size in sizes:
        found[name] = body[place : place + size]
        place += size
    return found


def _joined(files: Mapping[str, bytes]) -> tuple[list[tuple[str, int]], bytes]:
    return [(name, len(content)) for name, content in files.items()], b"".join(files.values())
