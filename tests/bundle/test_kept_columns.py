"""Does a value beside the features come back as it was, whatever other rows hold?"""

from __future__ import annotations

from trueup.bundle.kept_columns import kept_table, kept_types


def test_a_key_has_one_type_for_all_rows() -> None:
    rows = [{"a": 1, "b": 1, "c": True, "d": "x", "e": 1, "f": None}, {"b": 0.5, "e": "x", "g": 2**64, "h": [1]}]
    assert kept_types(rows) == {
        "a": "integer",
        "b": "number",
        "c": "boolean",
        "d": "text",
        "e": "json",
        "f": "text",
        "g": "json",
        "h": "json",
    }


def test_mixed_values_are_json_text_and_missing_ones_are_missing() -> None:
    table = kept_table([{"e": "x"}, {"e": [1, "ü"]}, {}], {"e": "json"})
    assert table.column("e").to_pylist() == ["x", '[1, "ü"]', None]
