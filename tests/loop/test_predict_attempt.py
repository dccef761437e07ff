"""A run that ends in the middle is gone on with: every row is decided once, by tokens of its own, and logged once."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lake.failing_disk import BROKEN, FailingDisk
from tests.loop.predicting import NOW, Packaged, answers, sealed, told

from trueup.align.streaming import TokenCounter
from trueup.kernel.durations import MICROSECONDS_PER_DAY as DAY
from trueup.kernel.ids import IdMint
from trueup.lake.capacity_file import CapacityFile, CapacityUnavailable
from trueup.loop.predict_journal import RunDiffers, RunElsewhere
from trueup.loop.predict_logging import LogTarget
from trueup.loop.predict_reading import CannotPredict

RUN = IdMint().new(NOW)


class Ended(BaseException):
    """The process would have ended here."""


def ending_at(step: int, ticks: Callable[[], int]) -> Callable[[], int]:
    """Return ticks that end the process at the given look."""
    looks = iter(range(step))

    def look() -> int:
        if next(looks, None) is None:
            raise Ended
        return ticks()

    return look


class EndingTokens:
    """Tokens whose process ends once it has taken some."""

    def __init__(self, tokens: TokenCounter, after: int) -> None:
        self._tokens, self._left = tokens, after
        self.used, self.used_before, self.allowed = tokens.used, tokens.used_before, tokens.allowed
        self.taken = tokens.taken

    def take(self, period_start: int, prediction_id: bytes, *, exploring: bool, most: int, in_all: int) -> bool:
        if self._left == 0:
            raise Ended
        self._left -= 1
        return self._tokens.take(period_start, prediction_id, exploring=exploring, most=most, in_all=in_all)


def assert_as_if_never_interrupted(
    fraud: Packaged, rows: Path, target: LogTarget, *, tokens: TokenCounter, folder: Path, allocation: str
) -> None:
    """Run again, days later and under another id, and compare with a run that nothing ended."""
    whole, out = folder / "whole.jsonl", folder / "answers.jsonl"
    fraud.predict(rows, whole, run=RUN, allocation=allocation)

    fraud.predict(rows, out, log=target, tokens=tokens, now=NOW + 40 * DAY, allocation=allocation)

    assert answers(out) == answers(whole)
    acted = [answer["prediction_id"] for answer in answers(out) if answer["decision"]]
    assert tokens.used(fraud.project.charter.calendar().start_of(NOW))[0] == len(acted) == 3
    with sealed(target, fraud.project.name, folder / "scratch") as log:
        assert log.count("predictions") == log.count("features") == log.count("cases") == 2_500
        assert log.count("recorded_predictions") <= 3_000  # one group of rows at most is there twice
        logged = told(log, "SELECT prediction_id FROM predictions WHERE acted ORDER BY row")
        assert [line["prediction_id"] for line in logged] == acted
        moments = told(log, "SELECT DISTINCT epoch_us(decided_at) AS moment FROM predictions")
        assert moments == [{"moment": NOW}]


@pytest.mark.parametrize(
    ("allocation", "step"), [*(("streaming", step) for step in range(1, 10)), *(("period", step) for step in (5, 7, 9))]
)
def test_a_run_that_ended_anywhere_is_gone_on_with(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path, step: int, allocation: str
) -> None:
    tokens = CapacityFile(tmp_path / "capacity")
    ending = replace(target, ticks=ending_at(step, target.ticks))
    with pytest.raises(Ended):
        fraud.predict(grouped_rows, tmp_path / "a.csv", run=RUN, log=ending, tokens=tokens, allocation=allocation)
    assert not list(tmp_path.glob("*a.csv*"))

    assert_as_if_never_interrupted(fraud, grouped_rows, target, tokens=tokens, folder=tmp_path, allocation=allocation)


@pytest.mark.parametrize("allocation", ["streaming", "period"])
@pytest.mark.parametrize("taken", [1, 2])
def test_tokens_that_were_taken_before_an_end_are_found_again(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path, taken: int, allocation: str
) -> None:
    tokens, out = CapacityFile(tmp_path / "capacity"), tmp_path / "a.csv"
    ending = EndingTokens(tokens, taken)
    with pytest.raises(Ended):
        fraud.predict(grouped_rows, out, run=RUN, log=target, tokens=ending, allocation=allocation)
    assert tokens.used(fraud.project.charter.calendar().start_of(NOW))[0] == taken

    assert_as_if_never_interrupted(fraud, grouped_rows, target, tokens=tokens, folder=tmp_path, allocation=allocation)


def test_nothing_is_logged_or_told_whose_tokens_are_not_on_the_disk(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path
) -> None:
    tokens, out = (
        CapacityFile(tmp_path / "capacity", sync=True, disk=FailingDisk(on_flush=lambda: BROKEN)),
        tmp_path / "a.csv",
    )
    refusing = replace(target, sync_tokens=tokens.sync)
    with pytest.raises(CapacityUnavailable):
        fraud.predict(grouped_rows, out, run=RUN, log=refusing, tokens=tokens)
    assert not out.exists()
    assert not list(target.spool.hot(fraud.project.name).glob("*.segment"))
    tokens = CapacityFile(tmp_path / "capacity", sync=True)

    assert_as_if_never_interrupted(fraud, grouped_rows, target, tokens=tokens, folder=tmp_path, allocation="streaming")


def test_a_run_that_decided_nothing_begins_when_it_is_asked_for_again(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path
) -> None:
    empty, out = tmp_path / "rows.jsonl", tmp_path / "a.csv"
    empty.write_text("")
    with pytest.raises(CannotPredict, match="no rows"):
        fraud.predict(empty, out, log=target, run=RUN, own_id=True)
    assert not list(target.spool.hot(fraud.project.name).glob("*"))

    assert fraud.predict(grouped_rows, out, log=target, run=RUN, own_id=True).logged == 2_500


def test_the_same_command_again_decides_and_logs_nothing(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path
) -> None:
    tokens = CapacityFile(tmp_path / "capacity")
    first = fraud.predict(grouped_rows, tmp_path / "a.jsonl", log=target, tokens=tokens)

    again = fraud.predict(grouped_rows, tmp_path / "b.jsonl", log=target, tokens=tokens, now=NOW + 40 * DAY)

    assert (again.run, again.decided_before, again.acted) == (first.run, 2_500, first.acted)
    assert (first.repeated, again.repeated) == (False, True)
    assert (tmp_path / "b.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()
    with sealed(target, fraud.project.name, tmp_path / "scratch") as log:
        assert log.count("recorded_predictions") == 2_500
        assert log.count("events") == 2


def test_asked_to_it_decides_again_with_what_is_left(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path
) -> None:
    tokens = CapacityFile(tmp_path / "capacity")
    first = fraud.predict(grouped_rows, tmp_path / "a.jsonl", log=target, tokens=tokens)

    again = fraud.predict(grouped_rows, tmp_path / "b.jsonl", log=target, tokens=tokens, again=True)

    assert again.run != first.run
    assert (first.acted, again.acted, again.decided_before) == (3, 0, 0)
    with sealed(target, fraud.project.name, tmp_path / "scratch") as log:
        assert log.count("predictions") == 5_000


def test_other_rows_or_another_allocation_are_another_run(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path
) -> None:
    source = tmp_path / "one.jsonl"
    source.write_text('{"case": 1, "a": 1.0, "b": 0.5, "amount": 100, "happened": "2016-05-01 10:00:00"}')
    runs = [
        fraud.predict(source, tmp_path / "a.csv", log=target),
        fraud.predict(source, tmp_path / "b.csv", log=target, allocation="period"),
        fraud.predict(grouped_rows, tmp_path / "c.csv", log=target),
    ]
    assert len({run.run for run in runs}) == 3

    fraud.predict(source, tmp_path / "d.csv", log=target, run=RUN, own_id=True)
    with pytest.raises(RunDiffers, match="other rows"):
        fraud.predict(grouped_rows, tmp_path / "e.csv", log=target, run=RUN, own_id=True)


def test_two_processes_do_not_decide_the_same_rows_at_once(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path
) -> None:
    fraud.predict(grouped_rows, tmp_path / "a.csv", log=target)
    runs = target.runs(fraud.project.name)
    (run,) = runs.iterdir()
    with run.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunElsewhere):
            fraud.predict(grouped_rows, tmp_path / "b.csv", log=target)
