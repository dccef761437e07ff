"""Is a changed charter priced on the right cases, by the right yardstick, to the cent?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.align.charter import Capacity, Charter, PayoffMatrix, Project
from trueup.align.project_file import parse_project
from trueup.data.lender import as_table, simulate
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import local_iso, local_moment
from trueup.loop.charter_change import NothingToPriceOn, PricedChanges, last_final_month, price_changes
from trueup.loop.prepare import Workspace, history_of, open_tables, table_name

DAY = MICROSECONDS_PER_DAY
BERLIN = "Europe/Berlin"
PROJECT = """
[project]
name = "by-hand"
title = "By hand"
[charter]
objective = "Stop fraud"
currency = "EUR"
timezone = "Europe/Berlin"
sponsor = "sponsor@example.com"
[[charter.reviewer]]
group = "fraud"
[charter.payoff]
true_positive = "-5"
false_positive = "-5"
false_negative = "-amount"
true_negative = "0"
[charter.capacity]
cases = 1
per = "day"
[data]
source = "cases.parquet"
case_id = "case"
time = "happened"
label = "fraud"
label_final_at = "happened + INTERVAL 45 DAY"
[train]
pipeline = "pipeline:make"
"""
CONSTANT = "from sklearn.dummy import DummyClassifier\n\ndef make():\n    return DummyClassifier()\n"
"""Says the share of frauds so far of every case; it is a half here, so the gain is 0.5 * amount - 5."""


def _cases() -> pa.Table:
    """Return October 2015 to May 2016, two cases a day: a fraud of 100 at 10:00, an honest 60 at 12:00."""
    days = 31 + 30 + 31 + 31 + 29 + 31 + 30 + 30  # the last day of May is not there
    midnights = local_moment(2015, 10, 1, timezone="UTC") + np.arange(days) * DAY
    happened = np.sort(np.concatenate((midnights + 10 * DAY // 24, midnights + 12 * DAY // 24)))
    morning = np.arange(2 * days) % 2 == 0
    return pa.table(
        {
            "case": np.arange(2 * days),
            "happened": pa.array(happened, pa.timestamp("us")),
            "amount": np.where(morning, 100.0, 60.0),
            "fraud": morning,
        }
    )


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Workspace]:
    folder = tmp_path_factory.mktemp("by-hand")
    (folder / "pipeline.py").write_text(CONSTANT)
    project, workspace = parse_project(PROJECT, folder=str(folder)), Workspace(folder / ".trueup")
    open_tables(workspace).write(table_name(project), _cases().to_reader())
    return project, workspace


def _changed(project: Project, **charter: object) -> Project:
    return replace(project, charter=replace(project.charter, **charter))  # type: ignore[arg-type]  # its own fields


def _matrix(charter: Charter, **cells: str) -> PayoffMatrix:
    assert isinstance(charter.payoff, PayoffMatrix)
    return replace(charter.payoff, **cells)


def test_the_month_is_the_last_whole_one_whose_outcomes_are_final(by_hand: tuple[Project, Workspace]) -> None:
    # the data end on 30 May; 45 days before is 15 April, so March is the last month of final outcomes
    start, end = last_final_month(history_of(*by_hand), timezone=BERLIN)
    assert (local_iso(start, BERLIN)[:10], local_iso(end, BERLIN)[:10]) == ("2016-03-01", "2016-04-01")


def test_a_case_more_a_day_costs_what_it_costs_by_hand(by_hand: tuple[Project, Workspace]) -> None:
    # one a day: the fraud of 100 is the best case of each day; two a day: the honest 60 as well, 31 reviews of 5
    project, workspace = by_hand
    priced = price_changes(project, _changed(project, capacity=Capacity(2, "day")), workspace)
    assert (priced.month, priced.cases, priced.without_outcome) == ("2016-03", 62, 0)
    assert [change.effect for change in priced.changes] == pytest.approx([31 * -5.0])
    assert priced.together == pytest.approx(31 * -5.0)
    assert priced.lines("EUR") == ["capacity 1 -> 2 a day: −€155 on the 62 cases of 2016-03"]


def test_not_doing_what_no_longer_pays_is_a_gain_by_hand(by_hand: tuple[Project, Workspace]) -> None:
    # 5000 for a review is more than any loss: nobody is reviewed any more; those reviews were worth 100 - 5 each,
    # and by the new payoff, which is believed now, 100 - 5000
    project, workspace = by_hand
    dear = _changed(project, payoff=_matrix(project.charter, true_positive="-5000", false_positive="-5000"))
    priced = price_changes(project, dear, workspace)
    assert priced.together == pytest.approx(31 * (5_000.0 - 100.0))


def test_both_are_valued_by_what_is_believed_now(by_hand: tuple[Project, Workspace]) -> None:
    # the same cases are reviewed when an alarm costs 6: no gain, though every review is dearer
    project, workspace = by_hand
    dearer = _changed(project, payoff=_matrix(project.charter, true_positive="-6", false_positive="-6"))
    priced = price_changes(project, dearer, workspace)
    assert [change.effect for change in priced.changes] == [0.0, 0.0]
    assert priced.lines("EUR")[0] == "true positive -5 -> -6: no difference on the 62 cases of 2016-03"


def test_each_change_has_its_own_price_and_all_have_one_together(by_hand: tuple[Project, Workspace]) -> None:
    # two a day but never an honest one: when 60 is not worth a review of 40, the second review is not made
    project, workspace = by_hand
    both = _changed(
        project,
        capacity=Capacity(2, "day"),
        payoff=_matrix(project.charter, true_positive="-40", false_positive="-40"),
        sponsor="other@example.com",
    )
    priced = price_changes(project, both, workspace)
    effects = {change.key: change.effect for change in priced.changes}
    assert effects["capacity"] == pytest.approx(31 * -40.0)
    assert effects["sponsor"] is None
    assert priced.together == pytest.approx(0.0)
    lines = priced.lines("EUR")
    assert "sponsor sponsor@example.com -> other@example.com: no effect on decisions" in lines
    assert lines[-1].startswith("all together: €0 on")


def test_words_and_people_need_no_data(tmp_path: Path, by_hand: tuple[Project, Workspace]) -> None:
    project, _ = by_hand
    priced = price_changes(project, _changed(project, objective="Stop it"), Workspace(tmp_path))
    assert priced.month is None
    assert priced.lines("EUR") == ['objective "Stop fraud" -> "Stop it": no effect on decisions']


def test_a_baseline_is_a_yardstick_and_moves_nothing(by_hand: tuple[Project, Workspace]) -> None:
    project, workspace = by_hand
    (change,) = price_changes(project, _changed(project, baseline_rule="amount > 80"), workspace).changes
    assert change.effect == 0.0


def test_the_same_charter_has_no_changes(by_hand: tuple[Project, Workspace]) -> None:
    project, workspace = by_hand
    assert price_changes(project, project, workspace) == PricedChanges(())


def test_what_was_never_ingested_cannot_be_priced(tmp_path: Path, by_hand: tuple[Project, Workspace]) -> None:
    project, _ = by_hand
    with pytest.raises(NothingToPriceOn, match="ingested yet; run: trueup ingest"):
        price_changes(project, _changed(project, capacity=None), Workspace(tmp_path))


def test_data_without_a_final_month_are_refused(tmp_path: Path, by_hand: tuple[Project, Workspace]) -> None:
    project, workspace = replace(by_hand[0], folder=str(tmp_path)), Workspace(tmp_path)
    open_tables(workspace).write(table_name(project), _cases().slice(0, 80).to_reader())
    with pytest.raises(NothingToPriceOn, match="2015-10-01 to 2015-11-09, hold no whole calendar month"):
        price_changes(project, _changed(project, capacity=None), workspace)


def test_a_first_month_with_nothing_to_train_on_is_refused(tmp_path: Path, by_hand: tuple[Project, Workspace]) -> None:
    project, workspace = replace(by_hand[0], folder=str(tmp_path)), Workspace(tmp_path)
    (tmp_path / "pipeline.py").write_text(CONSTANT)
    open_tables(workspace).write(table_name(project), _cases().slice(0, 180).to_reader())
    with pytest.raises(NothingToPriceOn, match="2015-10 is the last month of final cases"):
        price_changes(project, _changed(project, capacity=None), workspace)


LINEAR = """
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.impute import SimpleImputer

def make():
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20)
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (words, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=300))
"""


@pytest.fixture(scope="module")
def lender(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Workspace]:
    folder = tmp_path_factory.mktemp("lender")
    (folder / "pipeline.py").write_text(LINEAR)
    example = Path(__file__).parents[2] / "src/trueup/cli/examples/application-fraud/trueup.toml"
    text = example.read_text(encoding="utf-8").replace("[train]", '[train]\npipeline = "pipeline:make"')
    project, workspace = parse_project(text, folder=str(folder)), Workspace(folder / ".trueup")
    table = as_table(simulate(seed=5, days=300, per_day=15.0))
    open_tables(workspace).write(table_name(project), table.to_reader())
    return project, workspace


def test_more_reviews_cost_at_most_their_false_alarms_and_save_at_most_what_was_at_stake(
    lender: tuple[Project, Workspace],
) -> None:
    # more reviews need not earn more: at worst each is a false alarm for 55, at best all frauds' 85 % are saved
    few, workspace = _changed(lender[0], capacity=Capacity(1, "month")), lender[1]
    priced = price_changes(few, _changed(few, capacity=Capacity(10, "month")), workspace)
    history = history_of(few, workspace)
    start, end = last_final_month(history, timezone=BERLIN)
    rows = history.rows_between(start, end)
    amounts = pq.read_table(history.table_path, columns=["amount"])["amount"].to_numpy()[rows]
    at_stake = 0.85 * amounts[np.asarray(history.outcome[rows]) == 1.0].sum()
    assert priced.together is not None
    assert -10 * 55 <= priced.together < at_stake


def test_there_and_back_is_the_same_money(small_project: Callable[..., tuple[Project, Workspace]]) -> None:
    few, workspace = small_project()
    many = _changed(few, capacity=Capacity(9, "day"))
    (there,), (back,) = (price_changes(a, b, workspace).changes for a, b in ((few, many), (many, few)))
    assert there.effect is not None
    assert there.effect == -(back.effect or 0.0) != 0.0


def test_pricing_twice_gives_the_same(small_project: Callable[..., tuple[Project, Workspace]]) -> None:
    few, workspace = small_project()
    many = _changed(few, capacity=Capacity(5, "day"), control_group=0.1)
    assert price_changes(few, many, workspace) == price_changes(few, many, workspace)
