"""The usual request is answered and recorded exactly as the general way would, and the unusual one is left to it."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serve.loadouts import NOON, RISKY, document_of, loadout, request, seat

from trueup.align.streaming import MemoryTokens
from trueup.kernel.ids import IdMint
from trueup.serve.answering import Answerer
from trueup.serve.loadout import Loadout
from trueup.serve.replies import Reply
from trueup.serve.single import is_usual

CHARTERS: tuple[dict[str, Any], ...] = ({}, {"control_group": 0.4}, {"capacity": None}, {"fallback": None})
NUMBERS = st.none() | st.floats(-5, 5) | st.integers(-3, 3) | st.booleans() | st.just("no number")
ROWS = st.fixed_dictionaries(
    {"amount": NUMBERS, "age": NUMBERS, "fee": NUMBERS},
    optional={"case": st.text(max_size=5) | st.integers(), "extra": st.text(max_size=5), "happened": st.text()},
)


def answerer(given: Loadout) -> Answerer:
    """Return an answerer with the same ids as every other one, whose clock stands still."""
    return Answerer(given, mint=IdMint(random=Random(1).randbytes), ticks=lambda: 0)


def ways(charter: dict[str, Any]) -> tuple[Answerer, Answerer]:
    """Return an answerer that may go the short way, and one that may not: a shadow that is asked about nothing."""
    document = document_of(**charter)
    usual = loadout(seat(document=document), document=document, tokens=MemoryTokens())
    general = loadout(
        seat(document=document),
        [seat("shadow", document=document, share=0.0)],
        document=document,
        tokens=MemoryTokens(),
    )
    assert is_usual(usual)
    assert not is_usual(general)
    return answerer(usual), answerer(general)


def ask(asked: Answerer, body: bytes) -> tuple[int, bytes, bytes | None, int]:
    reply: Reply = asked.answer(body, caller="tests", now=NOON, started_ns=0)
    return reply.status, reply.body, reply.frame, reply.rows


@given(st.sampled_from(CHARTERS), st.lists(st.lists(ROWS, min_size=1, max_size=2), min_size=1, max_size=8))
def test_both_ways_give_the_same_bytes_and_the_same_record(
    charter: dict[str, Any], requests: list[list[dict[str, Any]]]
) -> None:
    usual, general = ways(charter)
    for rows in requests:
        body = request(*rows)
        assert ask(usual, body)[0:2] == ask(general, body)[0:2]
    assert usual.counts == general.counts


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_records_are_the_same_too(rows: list[dict[str, Any]]) -> None:
    usual, general = ways({})
    for row in rows:
        assert ask(usual, request(row)) == ask(general, request(row))


@pytest.mark.parametrize(
    "change", [{"paused": True}, {"others": [seat("canary", share=0.1)]}, {"others": [seat("shadow")]}]
)
def test_a_pause_a_canary_and_a_shadow_are_not_usual(change: dict[str, Any]) -> None:
    others = change.pop("others", ())
    assert not is_usual(loadout(None, others, **change))


def test_a_name_the_caller_gives_is_kept() -> None:
    usual, general = ways({})
    body = request(RISKY, association_ids=["mine"])
    assert ask(usual, body) == ask(general, body)
    assert b'"association_id":"mine"' in ask(usual, body)[1]
