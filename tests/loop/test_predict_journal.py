"""What a run decided is read back as it was noted, also when its process ended in the middle of a note."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.loop.predicting import NOW

from trueup.align.streaming import Found
from trueup.kernel.durations import MICROSECONDS_PER_DAY as DAY
from trueup.loop.predict_deciding import REASONS, ROLES, Decisions
from trueup.loop.predict_journal import Beginning, RunDiffers, RunJournal, open_journal

BEGUN = Beginning("00" * 16, NOW, Found(1, 5, 2, float("inf"), 3, 1, 0), 2)


def opened(folder: Path, key: str = "k", *, now: int = NOW, name: str = "run") -> RunJournal:
    return open_journal(
        folder,
        name,
        key=key,
        begin=lambda: BEGUN,
        counts=lambda beginning: False,
        anew=False,
        durable=True,
        now=now,
    )


def some(rows: int, seed: int = 0) -> Decisions:
    rng = np.random.default_rng(seed)
    flags = rng.random((2, rows)) < 0.5
    reasons, roles = (rng.integers(0, len(codes), rows).astype(np.uint8) for codes in (REASONS, ROLES))
    return Decisions(flags[0], flags[1], reasons, roles, rng.random(rows))


def noted(decisions: Decisions) -> list[tuple[object, ...]]:
    columns = (decisions.acted, decisions.qualifies, decisions.reasons, decisions.roles, decisions.propensities)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(
    noted_rows=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    asked=st.lists(st.integers(1, 60), min_size=1, max_size=8),
)
def test_decisions_are_read_back_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, noted_rows: list[int], asked: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    journal = opened(folder)
    every = []
    for seed, rows in enumerate(noted_rows):
        journal.note(some(rows, seed))
        every += noted(some(rows, seed))
    journal.close()

    journal = opened(folder)
    assert journal.beginning == BEGUN
    assert (journal.decided, journal.logged, journal.ended) == (sum(noted_rows), sum(noted_rows[:-1]), False)
    read: list[tuple[object, ...]] = []
    for rows in asked:
        given_back = journal.replay(rows)
        if given_back is None:
            assert len(read) == len(every)
        else:
            assert 1 <= len(given_back) <= rows
            read += noted(given_back)
    journal.end()
    journal.close()
    assert read == every[: len(read)]

    journal = opened(folder)
    assert (journal.logged, journal.ended) == (sum(noted_rows), True)
    journal.close()


@pytest.mark.parametrize("torn", range(1, 30, 4))
def test_a_note_that_never_ended_counts_for_nothing(tmp_path: Path, torn: int) -> None:
    journal = opened(tmp_path)
    journal.note(some(10))
    journal.close()
    size = (tmp_path / "run.run").stat().st_size
    journal = opened(tmp_path)
    assert journal.replay(10) is not None
    journal.note(some(20, 1))
    journal.close()
    os.truncate(tmp_path / "run.run", size + torn)

    journal = opened(tmp_path)
    assert journal.decided == 10
    assert journal.replay(100) is not None
    journal.note(some(5, 2))
    journal.close()
    journal = opened(tmp_path)
    assert journal.decided == 15
    journal.close()


def test_a_run_is_not_taken_for_another(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.note(some(1))
    journal.close()
    with pytest.raises(RunDiffers):
        opened(tmp_path, "another")


def test_runs_are_forgotten_after_400_days(tmp_path: Path) -> None:
    opened(tmp_path, name="a").close()
    os.utime(tmp_path / "a.run", ns=(NOW * 1000, NOW * 1000))
    opened(tmp_path, name="b", now=NOW + 400 * DAY).close()
    assert (tmp_path / "a.run").exists()
    opened(tmp_path, name="b", now=NOW + 401 * DAY).close()
    assert not (tmp_path / "a.run").exists()
