"""Ids sort in the order they were made, and a caller's own is taken only when it is one."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.kernel.ids import BadId, IdMint, id_as_text, millisecond_of, parse_id

MOMENT = 1_780_000_000_123_456


@given(st.lists(st.integers(min_value=0, max_value=2**46), max_size=50))
def test_ids_of_one_mint_grow_whatever_the_clock_does(moments: list[int]) -> None:
    mint = IdMint()
    made = [mint.new(moment) for moment in moments]
    assert all(first < second for first, second in pairwise(made))


def test_an_id_is_a_version_7_uuid_of_its_moment() -> None:
    made = IdMint().new(MOMENT)
    uuid = UUID(bytes=made)
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert millisecond_of(made) == 1_780_000_000_123


def test_ids_of_two_processes_differ() -> None:
    assert len({IdMint().new(MOMENT) for _ in range(1_000)}) == 1_000


def test_even_a_mint_that_starts_at_its_highest_number_goes_on() -> None:
    mint = IdMint(random=lambda count: b"\xff" * count)
    made = [mint.new(1_000) for _ in range(2_000)]
    assert made == sorted(set(made))
    assert all(UUID(bytes=content).version == 7 for content in made)


@given(st.integers(min_value=0, max_value=2**46))
def test_an_id_is_read_back_from_its_text(moment: int) -> None:
    made = IdMint().new(moment)
    assert parse_id(id_as_text(made)) == made
    assert parse_id(id_as_text(made).upper()) == made
    assert id_as_text(made) == str(UUID(bytes=made))


@pytest.mark.parametrize(
    "text", ["", "x", "01890a5d-ac96-474b-bcce-b302099a8057", "01890a5dac96774bbcceb302099a8057", "\u0661" * 36]
)
def test_anything_else_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(BadId) as refused:
        parse_id(text)
    assert not text or text not in str(refused.value)
