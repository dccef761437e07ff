"""How do offers and proofs travel between a caller and the processes that make and try them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from trueup.bundle.answers import not_ours, read_answer
from trueup.bundle.candidates import Candidate, Offer
from trueup.bundle.errors import ModelFailed
from trueup.bundle.features import FeatureSpec, features_document
from trueup.bundle.golden import GoldenRow, golden_lines
from trueup.bundle.layout import PLAN, PREDICTOR_FOLDER, is_safe_path
from trueup.bundle.proof import TOLERANCE, Proof
from trueup.bundle.served import Kind

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
    """Return the offers of a message.

    Raises
    ------
    ModelFailed
        It tells of none, or of files that could not lie in a bundle's ``predictor/``.
    """
    told = read_answer(head.get("offers"), list[_ToldOffer])
    if sum(size for one in told for _, size in one.parts) != len(body):
        raise not_ours("files of another size than it says")
    offers = []
    for one in told:
        size = sum(length for _, length in one.parts)
        files, body = split_parts(one.parts, body[:size]), body[size:]
        if len(files) < len(one.parts) or not all(map(_may_lie_in_a_bundle, files)):
            raise not_ours("files with names that no predictor has")
        offers.append(Offer(one.kind, one.plan, files, one.slow_parts, one.why_not))
    return tuple(offers)


@dataclass(frozen=True)
class _ToldOffer:
    kind: Kind
    plan: dict[str, Any] | None
    parts: list[tuple[str, Annotated[int, msgspec.Meta(ge=0)]]]
    slow_parts: tuple[str, ...]
    why_not: str


def _may_lie_in_a_bundle(name: str) -> bool:
    path = f"{PREDICTOR_FOLDER}/{name}"
    return is_safe_path(path) and path != PLAN


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
    """Return the candidate that the answer to a trial tells about; one that is no answer proves nothing."""
    try:
        if "failed" in answer:
            return Candidate(offer, None, read_answer(answer["failed"], str))
        return Candidate(offer, Proof.from_json(answer.get("proof")))
    except ModelFailed as error:
        return Candidate(offer, None, error.message)


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
