"""A booking is decided alike in development, in a file and online; and no kill creates a call."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from benchmarks.equality import (
    Answers,
    Packaged,
    ask_in_order,
    ask_while_killing,
    asks_of,
    batch,
    development,
    hotel,
    logged_by_period,
    rehearsing,
)

from trueup.kernel.periods import local_moment

pytestmark = [pytest.mark.data, pytest.mark.timeout(600)]
NOTHING = {"score": 0, "qualifies": 0, "decision": 0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Packaged:
    return hotel(tmp_path_factory.mktemp("hotel"), real_data / "hotel_bookings" / "hotel_bookings.parquet")


@pytest.fixture(scope="module")
def expected(made: Packaged) -> Answers:
    return development(made)


def test_every_booking_is_decided_in_a_file_as_in_development(
    made: Packaged, expected: Answers, tmp_path: Path
) -> None:
    assert len(expected.scores) == 119_390
    assert 0 < expected.acted.sum() < expected.qualifies.sum()
    assert expected.unequal(batch(made, tmp_path / "answers.parquet")) == NOTHING


def test_every_booking_is_decided_online_as_in_development(made: Packaged, expected: Answers, tmp_path: Path) -> None:
    with rehearsing(made, tmp_path / "one", processes=1) as server:
        answers = ask_in_order(server, made, asks_of(made))
    assert expected.unequal(answers) == NOTHING


def test_four_processes_that_are_killed_call_300_a_month_and_earn_as_much_as_one(
    made: Packaged, expected: Answers, tmp_path: Path
) -> None:
    first = local_moment(2017, 4, 1, timezone="Europe/Lisbon")
    rows = slice(int(np.searchsorted(made.moments, first)), None)
    with rehearsing(made, tmp_path / "four", processes=4) as server:
        asks = asks_of(made, rows, most_rows=50)
        answers = ask_while_killing(server, made, asks, callers=4, kills=6, seed=1)
        assert server.stop() == 0
    assert np.array_equal(answers.scores[rows], expected.scores[rows])
    assert np.array_equal(answers.qualifies[rows], expected.qualifies[rows])
    assert made.acted_by_period(answers.acted).max() == 300
    logged = logged_by_period(made, tmp_path / "four")
    assert sum(cases for cases, _ in logged.values()) == len(expected.scores[rows])
    assert max(calls for _, calls in logged.values()) == 300
    assert min(logged) == dt.datetime(2017, 4, 1)
    one = np.where(np.arange(len(expected.acted)) >= rows.start, expected.acted, False)
    assert made.value(answers.acted) == pytest.approx(made.value(one), rel=0.02)
