"""A version is looked up in an advisory's ranges and lists as OSV's specification evaluates them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.bundle.affected_versions import AffectedVersions, Event

# CVE-2024-27351 in Django, https://www.djangoproject.com/weblog/2024/mar/04/security-releases/: fixed in three branches
DJANGO = tuple(
    (Event("introduced", first), Event("fixed", fixed))
    for first, fixed in (("3.2", "3.2.25"), ("4.2", "4.2.11"), ("5.0", "5.0.3"))
)


def _ranged(*events: tuple[str, str]) -> AffectedVersions:
    return AffectedVersions(ranges=(tuple(Event(bound, version) for bound, version in events),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        ("3.1.14", "not affected"),
        ("3.2", "affected"),
        ("3.2.24", "affected"),
        ("3.2.25", "not affected"),
        ("4.1.13", "not affected"),
        ("4.2.10", "affected"),
        ("5.0", "affected"),
        ("5.0a1", "not affected"),
        ("5.0.3", "not affected"),
        ("5.1", "not affected"),
    ],
)
def test_each_branch_of_a_project_is_its_own_range(version: str, answer: str) -> None:
    entry = AffectedVersions(ranges=DJANGO)
    assert entry.holds(version) == answer


def test_a_range_that_begins_and_ends_with_one_version_holds_that_one_alone() -> None:
    entry = _ranged(("introduced", "1.0"), ("last_affected", "1.0"))
    assert [entry.holds(version) for version in ("0.9", "1.0", "1.0.1", "2.0")] == [
        "not affected",
        "affected",
        "not affected",
        "not affected",
    ]


def test_several_branches_may_stand_in_one_range_in_any_order() -> None:
    entry = _ranged(("fixed", "1.2"), ("introduced", "2.0"), ("introduced", "0"), ("fixed", "2.3"))
    found = [entry.holds(version) for version in ("0.0.1.dev1", "1.1", "1.2", "1.9", "2.0", "2.3")]
    assert found == ["affected", "affected", "not affected", "not affected", "affected", "not affected"]


def test_the_last_affected_version_is_affected_and_the_next_is_not() -> None:
    entry = _ranged(("introduced", "1.0"), ("last_affected", "1.4"))
    assert [entry.holds(version) for version in ("1.4", "1.4.post1", "1.5")] == [
        "affected",
        "not affected",
        "not affected",
    ]


def test_what_is_introduced_again_in_the_fixed_version_is_affected() -> None:
    entry = _ranged(("introduced", "1.0"), ("fixed", "2.0"), ("introduced", "2.0"))
    assert entry.holds("2.0") == "affected"


def test_versions_compare_as_numbers_and_not_as_text() -> None:
    entry = _ranged(("introduced", "1.9"), ("fixed", "1.10"))
    assert [entry.holds(version) for version in ("1.9", "1.10", "1.9.0", "1.2")] == [
        "affected",
        "not affected",
        "affected",
        "not affected",
    ]


def test_a_limit_ends_a_range() -> None:
    entry = _ranged(("introduced", "1.0"), ("limit", "2.0"))
    assert (entry.holds("1.9"), entry.holds("2.0")) == ("affected", "not affected")
    assert _ranged(("introduced", "1.0"), ("limit", "*")).holds("9") == "affected"


def test_a_listed_version_is_affected_however_it_is_spelled() -> None:
    entry = AffectedVersions(versions=("1.0.0", "2.0-rc1"))
    assert [entry.holds(version) for version in ("1.0", "1.0.0+cu118", "2.0rc1", "2.0")] == [
        "affected",
        "affected",
        "affected",
        "not affected",
    ]


def test_nothing_to_compare_with_is_not_taken_for_safe() -> None:
    assert AffectedVersions().holds("1.0") == "unclear"
    assert _ranged(("introduced", "0"), ("fixed", "r2017-final")).holds("1.0") == "unclear"
    assert _ranged(("fixed", "2.0")).holds("1.0") == "unclear"
    assert AffectedVersions(versions=("1.0",)).holds("built-by-hand") == "unclear"


def test_a_list_stands_for_a_range_that_cannot_be_compared() -> None:
    entry = AffectedVersions(("1.0",), ((Event("introduced", "r2017-final"),),))
    assert (entry.holds("1.0"), entry.holds("1.1")) == ("affected", "not affected")


def test_the_way_out_is_the_lowest_later_fix() -> None:
    entry = AffectedVersions(ranges=DJANGO)
    assert (entry.fixed_in("3.2.1"), entry.fixed_in("4.2.1"), entry.fixed_in("5.0.1")) == ("3.2.25", "4.2.11", "5.0.3")
    assert AffectedVersions(versions=("1.0",)).fixed_in("1.0") is None


numbers = st.integers(0, 6)


@given(introduced=numbers, length=st.integers(1, 4), here=numbers)
def test_a_simple_range_is_an_interval_that_its_end_is_no_part_of(introduced: int, length: int, here: int) -> None:
    entry = _ranged(("introduced", f"{introduced}"), ("fixed", f"{introduced + length}"))
    assert (entry.holds(f"{here}") == "affected") == (introduced <= here < introduced + length)
