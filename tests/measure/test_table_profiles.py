"""Profiles of tables add up column by column, and drift ranks what moved most."""

from __future__ import annotations

import numpy as np
import pytest

from trueup.measure.profiles import CategoryProfile, ProfilesDiffer, profile_numbers
from trueup.measure.table_profiles import TableProfile, compare_tables, merge_tables

CALM = profile_numbers(np.array([1.0, 2.0, 3.0, 4.0]))


def test_no_rows_change_nothing() -> None:
    some = TableProfile(4, {"x": CALM})
    assert merge_tables(some, TableProfile()) == some == merge_tables(TableProfile(), some)


def test_rows_and_columns_add_up() -> None:
    merged = merge_tables(
        TableProfile(4, {"x": CALM, "k": CategoryProfile({"a": 4})}),
        TableProfile(2, {"x": profile_numbers(np.array([1.0, np.nan])), "k": CategoryProfile({"b": 1}, missing=1)}),
    )
    assert merged.rows == 6
    assert merged.columns["k"] == CategoryProfile({"a": 4, "b": 1}, missing=1)
    assert merged.columns["x"] == profile_numbers(np.array([1.0, 2.0, 3.0, 4.0, 1.0, np.nan]))


def test_other_columns_kinds_and_origins_are_refused_by_name() -> None:
    one = TableProfile(4, {"x": CALM})
    with pytest.raises(ProfilesDiffer, match="columns y"):
        merge_tables(one, TableProfile(4, {"x": CALM, "y": CALM}))
    with pytest.raises(ProfilesDiffer, match="x is numbers in one profile and categories"):
        merge_tables(one, TableProfile(1, {"x": CategoryProfile({"a": 1})}))
    with pytest.raises(ProfilesDiffer, match="x: origin 0"):
        merge_tables(one, TableProfile(1, {"x": profile_numbers(np.array([1.5]), origin=1.0)}))


def test_what_moved_most_comes_first_and_missing_values_count_as_moving() -> None:
    moved = profile_numbers(np.array([3.0, 4.0, 4.0, 4.0]))
    emptied = profile_numbers(np.array([np.nan, np.nan, np.nan, 2.0]))
    reference = TableProfile(4, {"calm": CALM, "moved": CALM, "full": profile_numbers(np.full(4, 2.0)), "gone": CALM})
    current = TableProfile(4, {"calm": CALM, "moved": moved, "full": emptied, "new": CALM})
    found = compare_tables(reference, current)
    assert [column.column for column in found.columns] == ["full", "moved", "calm"]
    assert found.columns[0].effect == 0.75
    assert found.columns[2].effect == 0.0
    assert (found.gone, found.added, found.changed) == (("gone",), ("new",), ())


def test_a_column_that_changed_its_kind_is_named_and_not_compared() -> None:
    found = compare_tables(TableProfile(4, {"x": CALM}), TableProfile(1, {"x": CategoryProfile({"1": 1})}))
    assert found.changed == ("x",)
    assert found.columns == ()


def test_origins_are_those_of_numbers_with_a_value() -> None:
    table = TableProfile(
        1,
        {
            "x": profile_numbers(np.array([1.5]), origin=1.0),
            "k": CategoryProfile({"a": 1}),
            "nothing": profile_numbers(np.array([np.nan]), origin=9.0),
        },
    )
    assert table.origins == {"x": 1.0}
