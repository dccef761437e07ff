"""Does signing add the promise, and change nothing else a person wrote?"""

from __future__ import annotations

import tomllib

import pytest

from trueup.cli.sign_command import with_promise
from trueup.lake.rehearsals import Rehearsal

TEXT = """# ours
[charter]
objective = "earn"   # said the sponsor

[data]
source = "a.csv"
"""
OLD = """
[charter.promise]   # written by `trueup sign`
value = 1.0
per = "year"
interval = [0.5, 1.5]
rehearsal_digest = "old"
"""


def _rehearsal(promise: dict[str, object] | None) -> Rehearsal:
    return Rehearsal(
        project="p",
        title="P",
        task="binary",
        objective="earn",
        currency="EUR",
        charter_digest="c",
        table_version="t",
        start="2024-01-01",
        end="2024-02-01",
        turns=31,
        rows=40,
        capacity=None,
        assumptions=(),
        strategies=(),
        recommended="never",
        reason="",
        promise=promise,
    )


RENEWED = _rehearsal({"value": 12.5, "per": "year", "interval": [10, 15]})


@pytest.mark.parametrize(
    "text", [TEXT, TEXT + OLD, TEXT.replace("[data]", f"{OLD.strip()}\n\n[data]"), TEXT + OLD.rstrip("\n")]
)
def test_the_new_promise_is_the_only_one_and_the_rest_stays(text: str) -> None:
    signed = with_promise(text, RENEWED, "new")
    assert tomllib.loads(signed) == {
        "charter": {
            "objective": "earn",
            "promise": {"value": 12.5, "per": "year", "interval": [10.0, 15.0], "rehearsal_digest": "new"},
        },
        "data": {"source": "a.csv"},
    }
    assert 'objective = "earn"   # said the sponsor' in signed


def test_signing_twice_writes_the_same_file() -> None:
    once = with_promise(TEXT, RENEWED, "new")
    assert with_promise(once, RENEWED, "new") == once


def test_without_a_promise_an_old_one_goes() -> None:
    assert "promise" not in with_promise(TEXT + OLD, _rehearsal(None), "new")
