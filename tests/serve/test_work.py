from __future__ import annotations

import json
import math

import pytest
from tests.serve.loadouts import NOON, RISKY, SAFE, loadout, seat

from trueup.serve.loadout import Loadout
from trueup.serve.replies import rows_form
from trueup.serve.row_requests import Asked
from trueup.serve.work import MISSING_FEATURES, Work, score_here

ROWS = json.dumps([RISKY, SAFE, RISKY]).encode()


def work_of(given: Loadout) -> Work:
    work = Work(Asked(ROWS), given, caller="tests", moment=NOON, started_ns=0, form=rows_form)
    work.prediction_id = bytes(16)
    work.assign()
    return work


def test_without_canaries_the_champion_is_asked_about_every_row() -> None:
    given = loadout()
    assert work_of(given).groups() == [(given.champion, [0, 1, 2])]


def test_rows_of_one_case_go_to_one_seat() -> None:
    work = work_of(loadout(others=[seat("canary", share=0.5)]))
    assert work.seats[0] is work.seats[2]
    assert sorted(row for _, rows in work.groups() for row in rows) == [0, 1, 2]


def test_some_rows_get_the_scores_they_get_among_all() -> None:
    given = loadout()
    work = work_of(given)
    everything = score_here(given.champion, work.read, [0, 1, 2])
    assert score_here(given.champion, work.read, [2, 1]) == [everything[2], everything[1]]


@pytest.mark.parametrize("output", [None, (math.nan,), (math.inf,)])
def test_an_answer_that_is_no_number_is_none(output: tuple[float, ...] | None) -> None:
    work = work_of(loadout())
    work.take([0, 1], [output, (0.5,)])
    assert work.failures == {0: MISSING_FEATURES}
    assert work.answers == [None, (0.5,), None]


def test_a_row_that_failed_before_takes_no_answer() -> None:
    work = work_of(loadout())
    work.fail([1], MISSING_FEATURES)
    work.take([0, 1], [(0.25,), (0.5,)])
    assert work.answers == [(0.25,), None, None]
