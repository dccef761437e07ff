"""Batch decides what development and a server decide, for files of any format, and loses no row."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.loop.predicting import NOW, Packaged, answers

from trueup.align.allocation import StreamAllocator
from trueup.align.payoff import ActionEffect, expected_gain
from trueup.align.streaming import MemoryTokens, pace_from
from trueup.bundle.loading import open_bundle
from trueup.bundle.trust import trusted_keys
from trueup.kernel.ids import IdMint
from trueup.lake.capacity_file import CapacityFile
from trueup.loop.predict import Order, predict
from trueup.loop.predict_reading import CannotPredict, Source
from trueup.loop.predict_scoring import Setup


@pytest.fixture
def rows(fraud: Packaged, tmp_path: Path) -> Path:
    """A hundred cases as a file."""
    table = pq.read_table(fraud.history.table_path).slice(0, 100)
    path = tmp_path / "rows.parquet"
    pq.write_table(table.select([n for n in table.column_names if not n.startswith("trueup$")]), path)
    return path


def assert_decided_as_in_development(made: Packaged, out: Path) -> None:
    """Compare every row with what an allocator decides over the whole history by the bundle's own scores and pace."""
    history, charter = made.history, made.project.charter
    with open_bundle(made.bundle, trusted_keys=trusted_keys(made.workspace.keys)) as bundle:
        table = pq.read_table(history.table_path)
        scores = np.concatenate([bundle.score_table(table.slice(i, 7_000)) for i in range(0, len(table), 7_000)])
    assert history.payoffs is not None
    assert charter.capacity is not None
    gains = expected_gain(scores, np.asarray(history.payoffs), effect=ActionEffect.of(charter))
    pace = pace_from(json.loads((made.bundle / "reference/pace.json").read_text()))
    allocator = StreamAllocator(charter.calendar(), charter.capacity.cases)
    acted = allocator.allot(np.asarray(history.event_time), gains, pace=pace, tokens=None).acted

    answered = pq.read_table(out)
    assert np.array_equal(answered.column("score").to_numpy(), scores)
    assert np.array_equal(answered.column("expected_gain").to_numpy(), gains)
    assert np.array_equal(answered.column("qualifies").to_numpy(), gains > 0)
    assert np.array_equal(answered.column("decision").to_numpy(), acted)
    assert 0 < acted.sum() < (gains > 0).sum()


@pytest.mark.parametrize("workers", [1, 2])
def test_every_case_is_decided_as_in_development(fraud: Packaged, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "answers.parquet"

    told = fraud.predict(fraud.history.table_path, out, clock="event", workers=workers)

    assert told.rows == fraud.history.rows
    assert_decided_as_in_development(fraud, out)


def test_a_run_now_takes_tokens_that_a_server_shares(fraud: Packaged, rows: Path, tmp_path: Path) -> None:
    tokens = CapacityFile(tmp_path / "capacity")
    today = fraud.project.charter.calendar().start_of(NOW)
    assert tokens.take(today, b"a server's", exploring=False, most=3, in_all=3)

    told = fraud.predict(rows, tmp_path / "answers.parquet", tokens=tokens)

    assert told.acted == 2
    assert tokens.used(today) == (3, 0)
    assert sum(told.reasons.values()) == told.rows == 100


def test_the_same_run_again_takes_no_token_twice(fraud: Packaged, rows: Path, tmp_path: Path) -> None:
    tokens, run = CapacityFile(tmp_path / "capacity"), IdMint().new(NOW)

    for name in "ab":
        fraud.predict(rows, tmp_path / f"{name}.jsonl", tokens=tokens, run=run)

    acted = [
        answer["prediction_id"] for name in "ab" for answer in answers(tmp_path / f"{name}.jsonl") if answer["decision"]
    ]
    assert len(set(acted)) == tokens.used(fraud.project.charter.calendar().start_of(NOW))[0] <= 3


@pytest.mark.parametrize("allocation", ["streaming", "period"])
def test_another_file_under_the_id_of_a_run_takes_tokens_of_its_own(
    fraud: Packaged, rows: Path, tmp_path: Path, allocation: str
) -> None:
    tokens, run = CapacityFile(tmp_path / "capacity"), IdMint().new(NOW)
    table = pq.read_table(fraud.history.table_path).slice(100, 100)
    other = tmp_path / "others.parquet"
    pq.write_table(table.select(pq.read_schema(rows).names), other)
    told = [
        fraud.predict(source, tmp_path / f"{place}.jsonl", tokens=tokens, run=run, allocation=allocation)
        for place, source in enumerate((rows, other))
    ]
    used, _ = tokens.used(fraud.project.charter.calendar().start_of(NOW))
    assert sum(one.acted for one in told) == used


def test_a_rehearsal_takes_nothing_from_production(fraud: Packaged, rows: Path, tmp_path: Path) -> None:
    tokens = CapacityFile(tmp_path / "capacity")
    assert fraud.predict(rows, tmp_path / "answers.parquet", tokens=tokens, clock="event").acted > 0
    assert not list((tmp_path / "capacity").glob("*.tokens"))


def test_a_whole_period_takes_its_best_cases(fraud: Packaged, tmp_path: Path) -> None:
    out = tmp_path / "answers.parquet"
    fraud.predict(fraud.history.table_path, out, allocation="period", clock="event")

    gains, acted = (pq.read_table(out).column(name).to_numpy() for name in ("expected_gain", "decision"))
    moments = np.asarray(fraud.history.event_time)
    calendar = fraud.project.charter.calendar()
    day = calendar.index_of(moments, calendar.starts_between(int(moments[0]), int(moments[-1]) + 1))
    for number in np.unique(day):
        inside = day == number
        best = sorted(gains[inside & (gains > 0)], reverse=True)[:3]
        assert sorted(gains[inside & acted], reverse=True) == best


def test_an_answer_names_itself_its_case_and_why(fraud: Packaged, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    told = fraud.predict(rows, out, keep=("amount",))

    cases = pq.read_table(rows).to_pylist()
    first, second = answers(out)[:2]
    assert (first["prediction_id"], second["prediction_id"]) == (told.run, f"{told.run}:1")
    assert [first["association_id"], second["association_id"]] == [str(case["case"]) for case in cases[:2]]
    assert first["amount"] == cases[0]["amount"]
    assert first["model_version"] == fraud.bundle.name
    assert first["allocation"] == "streaming"
    assert Counter(answer["reason"] for answer in answers(out)) == told.reasons


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_other_formats_get_the_same_answers(fraud: Packaged, rows: Path, tmp_path: Path, ending: str) -> None:
    source, run = tmp_path / f"again{ending}", IdMint().new(NOW)
    table = pq.read_table(rows)
    written = [{name: str(v) if hasattr(v, "year") else v for name, v in row.items()} for row in table.to_pylist()]
    if ending == ".csv":
        with source.open("w", newline="") as file:
            writer = csv.DictWriter(file, table.column_names)
            writer.writeheader()
            writer.writerows(written)
    else:
        source.write_text("".join(json.dumps(row) + "\n" for row in written))

    fraud.predict(rows, tmp_path / "a.parquet", clock="event", run=run)
    fraud.predict(source, tmp_path / "b.parquet", clock="event", run=run)

    assert pq.read_table(tmp_path / "b.parquet").equals(pq.read_table(tmp_path / "a.parquet"))


def test_rows_that_cannot_be_read_are_kept_without_a_score(fraud: Packaged, tmp_path: Path) -> None:
    source, out = tmp_path / "rows.jsonl", tmp_path / "answers.csv"
    good = {"case": 1, "a": 1.0, "b": 0.5, "amount": 100, "happened": "2016-05-01 10:00:00"}
    lines = [
        json.dumps(good),
        "no JSON",
        json.dumps({**good, "case": 3, "a": "many"}),
        json.dumps({"case": 4}),
        json.dumps({**good, "case": 5}),
    ]
    source.write_text("\n".join(lines))

    told = fraud.predict(source, out)

    assert told.rows == 5
    assert told.undecided == [2, 3, 4]
    told_of = answers(out)
    assert [bool(answer["score"]) for answer in told_of] == [True, False, False, False, True]
    assert [answer["reason"] == "bad_row" for answer in told_of] == [False, True, True, True, False]
    assert [answer["association_id"] for answer in told_of] == ["1", "", "3", "4", "5"]
    assert told_of[1]["decision"] == ""


def test_a_cell_that_is_no_number_spoils_its_row_alone(fraud: Packaged, tmp_path: Path) -> None:
    source, out = tmp_path / "rows.csv", tmp_path / "answers.jsonl"
    source.write_text(
        "case,a,b,amount,happened\n1,0.5,1,100,2016-05-01\n2,x,1,100,2016-05-01\n3,1,1,100,2016-05-01\n4\n"
    )

    told = fraud.predict(source, out)

    assert [answer["reason"] == "bad_row" for answer in answers(out)] == [False, True, False, True]
    assert told.unreadable_lines == 1


def test_lines_of_csv_that_are_no_rows_keep_their_place_and_the_first_is_named(fraud: Packaged, tmp_path: Path) -> None:
    source, out = tmp_path / "rows.csv", tmp_path / "answers.parquet"
    good = "{},0.5,1,100,2016-05-01"
    lines = [good.format(1), "2,3", good.format(3), good.format(4) + ",9,9", good.format(5), "6"]
    source.write_text("\n".join(["case,a,b,amount,happened", *lines]))

    told = fraud.predict(source, out, keep=("amount",))

    assert [(a["association_id"], a["reason"] == "bad_row", a["amount"]) for a in answers(out)] == [
        *(("1", False, "100"), (None, True, None), ("3", False, "100")),
        *((None, True, None), ("5", False, "100"), (None, True, None)),
    ]
    assert (told.rows, told.undecided, told.unreadable_lines) == (6, [2, 4, 6], 3)
    assert told.first_unreadable == "row 2 of rows.csv with 2 values instead of 5"


def test_rows_without_a_time_cannot_be_decided_by_it(fraud: Packaged, tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text(json.dumps({"case": 1, "a": 1.0, "b": 0.5, "amount": 100, "happened": None}))

    assert fraud.predict(source, tmp_path / "a.jsonl", clock="event").reasons == {"no_event_time": 1}
    assert "no_event_time" not in fraud.predict(source, tmp_path / "b.jsonl").reasons


@pytest.mark.parametrize(
    ("name", "content", "out", "said"),
    [
        ("rows.txt", b"", "a.parquet", "none of"),
        ("rows.jsonl", b"", "a.parquet", "no rows"),
        ("rows.parquet", b"no Parquet", "a.parquet", "cannot be read"),
        ("rows.jsonl", b"{}", "a.xlsx", "none of"),
        ("rows.jsonl", b"{}", "rows.jsonl", "holds the rows"),
        ("rows.jsonl", b"{}", "nowhere/a.jsonl", "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_no_file(
    fraud: Packaged, tmp_path: Path, name: str, content: bytes, out: str, said: str
) -> None:
    source = tmp_path / name
    source.write_bytes(content)
    with pytest.raises(CannotPredict, match=said):
        fraud.predict(source, tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_column_to_keep_must_be_there(fraud: Packaged, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotPredict, match='did you mean "amount"'):
        fraud.predict(rows, tmp_path / "answers.csv", keep=("amuont",))


def test_an_interrupted_run_leaves_what_was_there(fraud: Packaged, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    out.write_text("before")

    def interrupted(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    run = IdMint().new(NOW)
    with pytest.raises(KeyboardInterrupt):
        predict(
            Source([rows]),
            out,
            setup=Setup(fraud.bundle, trusted_keys(fraud.workspace.keys), None, (), run.hex()),
            order=Order(),
            tokens=MemoryTokens(),
            now=NOW,
            run=run,
            scratch=fraud.workspace.scratch,
            progress=interrupted,
        )
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "rows.parquet"]
