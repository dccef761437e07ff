"""Is every project file read as written, and every mistake named?"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from trueup.align.charter import (
    Capacity,
    ExposureStep,
    InterruptionLimit,
    Limit,
    PayoffMatrix,
    PayoffPerCase,
    Project,
    Promise,
)
from trueup.align.errors import ProjectNotFound
from trueup.align.project_file import check_project_columns, expressions_of, parse_project, read_project
from trueup.kernel.durations import parse_duration
from trueup.kernel.errors import Mistakes
from trueup.kernel.expressions import to_duckdb
from trueup.kernel.rowplan import compile_plan

FULL = """
[project]
name = "application-fraud"
title = "Application fraud"

[charter]
objective = "Stop fraudulent loan applications before payout."
currency = "EUR"
timezone = "Europe/Berlin"
sponsor = "head-of-fraud@example.com"
action = "reveals"
baseline_rule = "amount > 20000"
fallback = "amount > 20000"
control_group = 0.05
exploration_share = 0.02
p99_ms = 50
interruption_limit = { cases = 200, per = "month" }
retraining_cost = 250
exposure = ["shadow 1d", "canary 10% 2d", "full"]

[[charter.reviewer]]
group = "fraud-operations"

[charter.payoff]
true_positive  = "-30"
false_positive = "-55"
false_negative = "-0.85 * amount"
true_negative  = "0"

[charter.capacity]
cases = 120
per = "day"

[[charter.kpi]]
name = "Fraud caught"
sql = "count(*) FILTER (acted AND outcome) / count(*) FILTER (outcome)"
target = ">= 0.70"

[[charter.guard]]
name = "False alarms per fraud caught"
count = "acted AND NOT outcome"
per = "acted AND outcome"
limit = "<= 4.0"
window = "7d"
breach = "rollback"

[[charter.retraining]]
trigger = ["every 30d", "drift_cost > 5% of promise for 7d", "realised_value < 80% of promise over 30d"]
window = "365d"

[charter.envelope]
min_value_gain = 0.0
max_loss = 0.02
max_change_in_cases = 0.15

[data]
source = "applications.parquet"
case_id = "application_id"
time = "applied_at"
label = "is_fraud"
label_known_at = "confirmed_at"
label_final_at = "applied_at + INTERVAL 45 DAY"
exclude = ["referrer"]
personal = ["iban", "name"]
segments = ["broker", "age_band"]

[train]
pipeline = "pipeline:make"
holdout = "60d"
trials = 40

[rehearsal]
start = 2016-01-01
end = "2017-01-01"
turn = "week"
window = "quarter"

[serving]
durability = "disk"
"""
COLUMNS = ["application_id", "applied_at", "is_fraud", "confirmed_at", "referrer", "iban", "name", "broker"]
COLUMNS += ["age_band", "amount"]


def _parse(text: str) -> Project:
    return parse_project(text, folder="there")


def _said(text: str) -> str:
    with pytest.raises(Mistakes) as refused:
        _parse(text)
    return refused.value.message


def test_the_file_of_the_design_is_read_as_written() -> None:
    project = _parse(FULL)
    charter, data = project.charter, project.data
    assert (project.name, project.title, project.task) == ("application-fraud", "Application fraud", "binary")
    assert charter.payoff == PayoffMatrix("-30", "-55", "-0.85 * amount", "0")
    assert charter.capacity == Capacity(120, "day")
    assert charter.interruption_limit == InterruptionLimit(200, "month")
    assert (charter.control_group, charter.exploration_share, charter.p99_ms) == (0.05, 0.02, 50.0)
    assert charter.exposure[:2] == (
        ExposureStep("shadow", 0.0, parse_duration("1d")),
        ExposureStep("canary", 0.1, parse_duration("2d")),
    )
    assert charter.reviewers == ("fraud-operations",)
    assert charter.kpis[0].target == ">= 0.70"
    assert (charter.guards[0].limit, charter.guards[0].window) == (Limit("<=", 4.0), parse_duration("7d"))
    (policy,) = charter.retraining
    assert (policy.name, len(policy.triggers), policy.window) == ("charter", 3, parse_duration("365d"))
    assert (charter.envelope.max_loss, charter.envelope.max_change_in_cases) == (0.02, 0.15)
    assert (data.case_id, data.personal) == (("application_id",), ("iban", "name"))
    assert data.label_final_at == "applied_at + INTERVAL 45 DAY"
    assert (project.train.pipeline, project.train.holdout) == ("pipeline:make", parse_duration("60d"))
    assert (project.rehearsal.start, project.rehearsal.end, project.rehearsal.turn) == (
        "2016-01-01",
        "2017-01-01",
        "week",
    )
    assert (project.serving.durability, project.folder) == ("disk", "there")


MINIMAL = """
[project]
name = "rides"
[charter]
objective = "Fewer empty racks"
currency = "USD"
timezone = "UTC"
sponsor = "a@example.com"
[charter.payoff]
per_case = "-3 * greatest(outcome - prediction, 0)"
[data]
source = "rides.csv"
label = "cnt"
"""


def test_a_payoff_per_case_means_regression_and_the_rest_has_defaults() -> None:
    project = _parse(MINIMAL)
    assert (project.title, project.task) == ("rides", "regression")
    assert project.charter.payoff == PayoffPerCase("-3 * greatest(outcome - prediction, 0)")
    assert project.charter.exposure == (ExposureStep("full", 1.0, None),)
    assert (project.charter.capacity, project.charter.retraining) == (None, ())
    assert (project.data.split, project.train.trials, project.rehearsal.turn) == ("time", 40, "day")


def test_several_classes_must_be_asked_for() -> None:
    text = MINIMAL.replace('name = "rides"', 'name = "rides"\ntask = "multiclass"')
    assert _parse(text).task == "multiclass"


def test_several_policies_are_numbered_or_named() -> None:
    more = '\n[[charter.retraining]]\ntrigger = "every month"\n'
    more += '[[charter.retraining]]\nname = "late"\ntrigger = "every year"\n'
    assert [policy.name for policy in _parse(MINIMAL + more).charter.retraining] == ["charter-1", "late"]
    assert '"charter-1" is taken' in _said(MINIMAL + more.replace("late", "charter-1"))
    assert "never retrains" in _said(MINIMAL + more.replace("late", "never"))


def test_a_signed_promise_is_read() -> None:
    promise = '\n[charter.promise]\nvalue = 31\nper = "month"\ninterval = [28, 34.5]\nrehearsal_digest = "ab"\n'
    assert _parse(MINIMAL + promise).charter.promise == Promise(31.0, "month", (28.0, 34.5), "ab")
    assert "is not an interval" in _said(MINIMAL + promise.replace("[28, 34.5]", "[40, 34.5]"))


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ('name = "application-fraud"', 'name = "My Project"', "project.name", "a-z, 0-9"),
        ('title = "A', 'tilte = "A', "project.tilte", 'did you mean "title"?'),
        ("[train]", "[trian]", "trian", 'did you mean "train"?'),
        ('objective = "Stop fraudulent loan applications before payout."', "", "charter.objective", "is missing"),
        ('currency = "EUR"', 'currency = "eur"', "charter.currency", "three capital letters"),
        ('"Europe/Berlin"', '"Europe/Berlim"', "charter.timezone", 'did you mean "Europe/Berlin"?'),
        ('"Europe/Berlin"', '"../etc/passwd"', "charter.timezone", "is not a time zone"),
        ('action = "reveals"', 'action = "prevent"', "charter.action", 'did you mean "prevents"?'),
        ('action = "reveals"', 'action = "prevents"', "charter.success_share", "is missing"),
        ('action = "reveals"', "success_share = 0.3", "charter.success_share", "only with action"),
        ("control_group = 0.05", "control_group = 5", "charter.control_group", "5 % is 0.05"),
        ("control_group = 0.05", "control_group = -0.1", "charter.control_group", "from 0 to 1"),
        ("control_group = 0.05", 'control_group = "5%"', "charter.control_group", "without quotes"),
        ("p99_ms = 50", "p99_ms = 0", "charter.p99_ms", "0 is not a number of milliseconds"),
        ("retraining_cost = 250", "retraining_cost = -1", "charter.retraining_cost", "0 or more"),
        ('"shadow 1d", "canary', '"canary', "charter.exposure", None),
        ('2d", "full"]', '2d"]', "charter.exposure", 'must be "full"'),
        ("canary 10% 2d", "canary 10%", "charter.exposure", '"canary 10% 2d"'),
        ("canary 10% 2d", "canary 100% 2d", "charter.exposure", "less than 100"),
        ('"-30"', "\"read_csv('/etc/passwd')\"", "charter.payoff.true_positive", "never a file"),
        ('"-30"', "-30", "charter.payoff.true_positive", 'in quotes, such as "-30"'),
        ('"-30"', '"amount > 5 OR TRUE"', "charter.payoff.true_positive", None),
        ('"-30"', "\"'much'\"", "charter.payoff.true_positive", "text stands where a number is needed"),
        ('true_negative  = "0"', "", "charter.payoff.true_negative", "is missing"),
        ("cases = 120", "cases = 0", "charter.capacity.cases", "write 1 or more"),
        ("cases = 120", "cases = -5", "charter.capacity.cases", "-5 cases"),
        ("cases = 120", "cases = 1.5", "charter.capacity.cases", "a whole number"),
        ('per = "day"', 'per = "dya"', "charter.capacity.per", 'did you mean "day"?'),
        ('sql = "count(*) F', 'sql = "amount + count(*) F', "charter.kpi.sql", "outside an aggregate"),
        ('">= 0.70"', '"0.70"', "charter.kpi.target", "is not a limit"),
        ('count = "acted AND NOT outcome"', 'count = "amount"', "charter.guard.count", None),
        ('count = "acted AND NOT outcome"', 'count = "1 + 1"', "charter.guard.count", "yes or no is needed"),
        ('window = "7d"', 'window = "7 days"', "charter.guard.window", "12h, 30d or 4w"),
        ('breach = "rollback"', 'breach = "roll back"', "charter.guard.breach", 'did you mean "rollback"?'),
        ('"every 30d"', '"evry 30d"', "charter.retraining.trigger", 'did you mean "every"?'),
        ("max_loss = 0.02", "max_loss = 2", "charter.envelope.max_loss", "2 % is 0.02"),
        ("max_loss", "max_los", "charter.envelope.max_los", 'did you mean "max_loss"?'),
        ('label = "is_fraud"', "", "data.label", "is missing"),
        ('label = "is_fraud"', 'label = "is fraud"', "data.label", "'\"is fraud\"'"),
        ('time = "applied_at"', "", "data.label_known_at", "data.time"),
        ('"applied_at + INTERVAL 45 DAY"', '"applied_at + 45"', "data.label_final_at", "where a moment is needed"),
        ('exclude = ["referrer"]', "exclude = [5]", "data.exclude", "a list of texts"),
        ('exclude = ["referrer"]', 'exclude = ["a", "a"]', "data.exclude", "listed twice"),
        (
            '["iban", "name"]',
            '["iban", "application_id"]',
            "data.personal",
            "name cases by a column that identifies nobody",
        ),
        ('["iban", "name"]', '["Application_ID"]', "data.personal", "kept in clear in the prediction log"),
        ('"pipeline:make"', '"pipeline.py"', "train.pipeline", "pipeline:make"),
        ("trials = 40", "trials = 0", "train.trials", "1 or more"),
        ('end = "2017-01-01"', 'end = "2015-01-01"', "rehearsal.end", "is not after start"),
        ('end = "2017-01-01"', 'end = "soon"', "rehearsal.end", "is not a date"),
        ('durability = "disk"', 'durability = "none"', "serving.durability", "process, disk"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_what_is_allowed(old: str, new: str, key: str, said: str | None) -> None:
    assert FULL.count(old) >= 1
    text = FULL.replace(old, new, 1)
    if said is None:
        _parse(text)
        return
    message = _said(text)
    assert f"trueup.toml: {key}: " in message
    assert said in message
    assert message.startswith("1 mistake ") or key == "data.label_known_at"


def test_all_mistakes_are_reported_together() -> None:
    text = FULL.replace("cases = 120", "cases = 0").replace('"EUR"', '"euro"').replace("trials = 40", "trails = 40")
    message = _said(text)
    assert message.startswith("3 mistakes to correct:")


def test_a_yes_or_no_task_does_not_take_a_payoff_per_case() -> None:
    text = MINIMAL.replace('name = "rides"', 'name = "rides"\ntask = "binary"')
    assert "true_positive" in _said(text)


def test_a_regression_does_not_take_four_results() -> None:
    text = FULL.replace("[project]", '[project]\ntask = "regression"').replace('"amount > 20000"', '"amount"')
    assert "per_case" in _said(text)


@pytest.mark.parametrize("text", ["[project\n", "name = fraud\n", "[charter]\na = 1\na = 2\n"])
def test_a_file_that_is_not_toml_names_the_line(text: str) -> None:
    assert "at line" in _said(text)


def test_an_empty_file_asks_for_its_sections() -> None:
    message = _said("")
    assert all(f"[{name}] is missing" in message for name in ("project", "charter", "data"))


def test_a_section_that_is_a_value_is_refused() -> None:
    assert "written as [charter.payoff]" in _said(MINIMAL.replace("[charter.payoff]", 'payoff = "0"\n[other]'))


def test_a_folder_without_project_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ProjectNotFound, match="trueup init"):
        read_project(tmp_path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trueup.toml").write_bytes(b'[project]\nname = "caf\xe9"\n')
    with pytest.raises(Mistakes, match="UTF-8"):
        read_project(tmp_path)


def test_a_file_with_windows_line_ends_and_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "trueup.toml").write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert read_project(tmp_path).folder == str(tmp_path)


EXAMPLES = {
    "hotel_bookings": "hotel_bookings.parquet",
    "bike_sharing": "hour.parquet",
    "nycflights13": "flights.parquet",
    "telco_churn": "Telco-Customer-Churn.csv",
}


@pytest.mark.data
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_mean_the_same_on_tables_and_rows_of_real_data(name: str, real_data: Path) -> None:
    project = read_project(Path(__file__).parents[2] / "examples" / name)
    with duckdb.connect() as connection:
        table = connection.execute(f"FROM '{real_data / name / EXAMPLES[name]}' LIMIT 2000")
        columns = [column[0] for column in table.description or []]
        rows = [dict(zip(columns, values, strict=True)) for values in table.fetchall()]
        assert check_project_columns(project, columns) == []
        for part in expressions_of(project):
            if not part.expression.columns <= set(columns):
                continue
            source = f"(FROM '{real_data / name / EXAMPLES[name]}' LIMIT 2000)"
            found = connection.execute(f"SELECT {to_duckdb(part.expression)} FROM {source}").fetchall()
            single = compile_plan(part.expression.plan)
            assert [value for (value,) in found] == [single(row) for row in rows], part.key


def test_every_expression_is_listed_with_its_key() -> None:
    keys = {part.key for part in expressions_of(_parse(FULL))}
    assert {"charter.payoff.false_negative", "charter.kpi.sql", "charter.guard.count", "data.label_final_at"} <= keys


def test_a_project_whose_columns_exist_has_no_mistakes() -> None:
    assert check_project_columns(_parse(FULL), COLUMNS) == []


def test_unknown_columns_are_named_with_the_nearest_spelling() -> None:
    columns = [name for name in COLUMNS if name not in ("amount", "broker", "confirmed_at")] + ["amunt", "brokers"]
    found = {mistake.where: mistake.message for mistake in check_project_columns(_parse(FULL), columns)}
    assert 'did you mean "amunt"?' in found["trueup.toml: charter.payoff.false_negative"]
    assert 'did you mean "brokers"?' in found["trueup.toml: data.segments"]
    assert "trueup.toml: data.label_known_at" in found
    assert "trueup.toml: charter.guard.count" not in found


def test_a_column_used_as_what_it_is_not_is_named() -> None:
    kinds = dict.fromkeys(COLUMNS, "text") | {"is_fraud": "boolean", "applied_at": "date", "confirmed_at": "date"}
    found = {mistake.where for mistake in check_project_columns(_parse(FULL), kinds)}
    assert "trueup.toml: charter.payoff.false_negative" in found
    assert "trueup.toml: data.label_final_at" not in found


def test_a_placeholder_that_was_not_filled_in_is_named() -> None:
    text = 'objective = "<what should get better>"'
    with pytest.raises(Mistakes, match=r"still holds the placeholder <what should get better>"):
        parse_project(f'[project]\nname = "x"\ntitle = "x"\n[charter]\n{text}\n', folder="x")
