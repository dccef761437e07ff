"""The examples on real data: what the references say, found again through the whole product."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trueup.align.charter import Project
from trueup.align.project_file import read_project
from trueup.data.ingest import ingest
from trueup.kernel.periods import moment_of
from trueup.lake.rehearsals import Rehearsal, Strategy, Window
from trueup.loop.prepare import Workspace, open_tables, table_name
from trueup.loop.rehearse import rehearse
from trueup.loop.train import train

pytestmark = [pytest.mark.data, pytest.mark.timeout(900)]
EXAMPLES = Path(__file__).parents[2] / "examples"
AS_OF = moment_of(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
MakeProject = Callable[[str, str], tuple[Project, Workspace]]


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> MakeProject:
    """Return a function that copies an example, ingests its file and returns project and workspace."""

    def make(example: str, file: str) -> tuple[Project, Workspace]:
        folder = tmp_path_factory.mktemp(example)
        shutil.copytree(EXAMPLES / example, folder, dirs_exist_ok=True)
        project, workspace = read_project(folder), Workspace(folder / ".trueup")
        report = ingest(str(real_data / file), tables=open_tables(workspace), name=table_name(project), as_of=AS_OF)
        (folder / "notices.txt").write_text("\n".join(n.message for n in report.notices))
        return project, workspace

    return make


def named(rehearsal: Rehearsal, name: str) -> Strategy:
    return next(s for s in rehearsal.strategies if s.name == name)


def by_month(strategy: Strategy) -> dict[str, Window]:
    return {w.start[:7]: w for w in strategy.windows}


@pytest.fixture(scope="module")
def hotel(ingested: MakeProject) -> Rehearsal:
    project, workspace = ingested("hotel_bookings", "hotel_bookings/hotel_bookings.parquet")
    return rehearse(project, workspace, only=("as-agreed",), guided=False, workers=2)


@pytest.fixture(scope="module")
def bikes(ingested: MakeProject) -> Rehearsal:
    project, workspace = ingested("bike_sharing", "bike_sharing/hour.parquet")
    return rehearse(project, workspace, only=("all-history", "last-3-months"), guided=False, workers=2)


def test_the_static_hotel_model_falls_as_the_reference_says(hotel: Rehearsal) -> None:
    auc = {month: w.auc or 0 for month, w in by_month(named(hotel, "never")).items()}
    # the table in the README of hotel_bookings, "static"
    reference = {"2015-10": 0.81, "2015-11": 0.90, "2015-12": 0.86, "2016-09": 0.51, "2016-10": 0.54}
    reference |= {"2017-01": 0.69, "2017-02": 0.69, "2017-03": 0.67, "2017-06": 0.68, "2017-07": 0.69, "2017-08": 0.64}
    for month, expected in reference.items():
        assert abs(auc[month] - expected) <= 0.05, month
    assert np.mean([auc["2015-10"], auc["2015-11"], auc["2015-12"]]) > 0.83


def test_the_hotel_model_refitted_monthly_holds_as_the_reference_says(hotel: Rehearsal) -> None:
    auc = {month: w.auc or 0 for month, w in by_month(named(hotel, "as-agreed")).items()}
    # the same table, "mature, refitted monthly"
    reference = {"2015-10": 0.77, "2015-11": 0.90, "2015-12": 0.87, "2016-08": 0.73, "2016-09": 0.69, "2016-10": 0.74}
    reference |= {"2017-01": 0.84, "2017-02": 0.79, "2017-03": 0.76, "2017-06": 0.76, "2017-07": 0.77, "2017-08": 0.71}
    for month, expected in reference.items():
        assert abs(auc[month] - expected) <= 0.05, month


def test_hotel_calls_are_worth_money_and_never_one_more_than_300_a_month(hotel: Rehearsal) -> None:
    for strategy in hotel.strategies:
        assert strategy.max_cases_in_period == 300
        assert strategy.value_interval[0] > 0
    assert hotel.recommended == "as-agreed"
    assert named(hotel, "as-agreed").net_value > named(hotel, "never").net_value
    assert any("30%" in said and "signed" in said for said in hotel.assumptions)


def test_the_columns_that_give_hotel_outcomes_away_are_named_without_being_told(hotel: Rehearsal) -> None:
    named_columns = {w.column for w in hotel.warnings if w.code == "data.leakage-suspected"}
    assert {"reservation_status", "reservation_status_date"} <= named_columns
    assert not {"deposit_type", "arrival_date", "lead_time"} & named_columns
    shown = {k["column"] for k in hotel.facts["kept_columns"]}
    assert {"assigned_room_type", "country", "booking_changes", "required_car_parking_spaces"} <= shown


def test_naive_hotel_training_is_exposed_by_its_own_scores(hotel: Rehearsal) -> None:
    [notice] = [w for w in hotel.warnings if w.code == "data.labels-immature"]
    assert "27% were positive" in notice.message
    # the reference's naive model scores 0.86 on average in that month
    assert notice.effect is not None
    assert abs(notice.effect + 0.27 - 0.86) < 0.06


def test_no_hotel_model_learns_from_its_future(hotel: Rehearsal) -> None:
    for strategy in hotel.strategies:
        for release in strategy.releases:
            assert release.latest_final_at is not None
            assert dt.datetime.fromisoformat(release.latest_final_at) <= dt.datetime.fromisoformat(release.at)


@pytest.mark.parametrize(("name", "mae"), [("never", 113.8), ("all-history", 103.9), ("last-3-months", 45.7)])
def test_the_bike_forecast_errs_as_the_reference_says(bikes: Rehearsal, name: str, mae: float) -> None:
    assert by_month(named(bikes, name))["2012-10"].mae == pytest.approx(mae, abs=1.0)


def test_for_bikes_a_trailing_window_is_recommended_by_value(bikes: Rehearsal) -> None:
    assert bikes.recommended == "last-3-months"
    assert named(bikes, "never").cases_acted is None
    assert named(bikes, "never").max_cases_in_period is None


def test_churn_trains_from_the_raw_file_without_a_time_column(ingested: MakeProject) -> None:
    project, workspace = ingested("telco_churn", "telco_churn/Telco-Customer-Churn.csv")
    assert "TotalCharges: 11 blanks" in (Path(project.folder) / "notices.txt").read_text()
    trained = train(project, workspace)
    assert trained.rows == 7_043
    assert trained.as_of is None
    best = max(c["metric_value"] for c in trained.candidates if c["metric_value"] is not None)
    assert best == pytest.approx(0.834, abs=0.03)
