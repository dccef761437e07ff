"""What does `trueup.toml` say? The project file, parsed once into the records of `align/charter.py`.

Everything that is wrong is reported together: file and key, the value seen, what is allowed, the nearest spelling.
Whether the columns exist is asked later, when the table is known (`check_project_columns`).
"""

from __future__ import annotations

import re
import tomllib
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from trueup.align.charter import (
    ActionKind,
    Breach,
    Capacity,
    Charter,
    DataSpec,
    Envelope,
    ExposureStep,
    Guard,
    InterruptionLimit,
    Kpi,
    Payoff,
    PayoffMatrix,
    PayoffPerCase,
    Project,
    Promise,
    RehearsalSpec,
    RetrainingPolicy,
    ServingSpec,
    TrainSpec,
)
from trueup.align.data_source import check_connection, read_connections, read_data_source
from trueup.align.errors import ProjectNotFound
from trueup.align.package_text import read_package
from trueup.align.reading import Section
from trueup.align.rules_text import read_rules
from trueup.align.triggers_text import check_exposure, parse_exposure, parse_limit, parse_trigger
from trueup.kernel.durations import PERIODS, Duration
from trueup.kernel.errors import Mistake, Mistakes, nearest_spelling
from trueup.kernel.expression_terms import Kind
from trueup.kernel.expressions import Expression, check_columns, check_kinds, parse_aggregate, parse_expression

FILE = "trueup.toml"
Task = Literal["binary", "multiclass", "regression"]
_RESULTS = ("true_positive", "false_positive", "false_negative", "true_negative")
_CAPACITY_PERIODS = ("hour", "day", "week", "month")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FULL = (ExposureStep("full", 1.0, None),)
_OF_THE_DECISION = ("acted", "outcome", "score")
_OF_THE_PREDICTION = ("prediction", "outcome")


def read_project(folder: Path) -> Project:
    """Return the project in `folder`.

    Raises
    ------
    ProjectNotFound
        If there is no readable trueup.toml.
    Mistakes
        Everything that is wrong in it.
    """
    path = folder / FILE
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        message = f"there is no {FILE} in {folder}; go to the project's folder, or make one with `trueup init`"
        raise ProjectNotFound(message, folder=str(folder)) from None
    except OSError as error:
        raise ProjectNotFound(f"{path} cannot be read: {error.strerror}", folder=str(folder)) from error
    except UnicodeDecodeError as error:
        message = f"byte {error.start + 1} is not UTF-8; save the file as UTF-8"
        raise Mistakes([Mistake(FILE, message)]) from error
    return parse_project(text, folder=folder)


def parse_project(text: str, *, folder: Path | str) -> Project:
    """Return the project that the text of a trueup.toml describes.

    Parameters
    ----------
    folder : Path or str
        The project's folder, kept as `Project.folder`; nothing is read from it.

    Raises
    ------
    Mistakes
        Everything that is wrong, each with file and key.
    """
    try:
        document = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise Mistakes([Mistake(FILE, f'this is not TOML: {error}; texts need quotes, as in name = "fraud"')]) from None
    mistakes: list[Mistake] = []
    project = _project(Section(document, "", file=FILE, mistakes=mistakes), folder=str(folder))
    if mistakes or project is None:
        raise Mistakes(mistakes)
    return project


@dataclass(frozen=True)
class ProjectExpression:
    """One expression of a project file, and what it may name beside the row's columns."""

    key: str
    expression: Expression
    beside: tuple[str, ...]

    @property
    def where(self) -> str:
        """Return file and key."""
        return f"{FILE}: {self.key}"


def expressions_of(project: Project) -> Iterator[ProjectExpression]:
    """Yield every expression of a project, parsed."""
    for key, text, kind, beside in _row_expressions(project):
        if text is not None:
            yield ProjectExpression(key, parse_expression(text, where=f"{FILE}: {key}", expects=kind), beside)
    for number, kpi in enumerate(project.charter.kpis, start=1):
        key = _numbered("charter.kpi", number, len(project.charter.kpis)) + ".sql"
        yield ProjectExpression(key, parse_aggregate(kpi.sql, where=f"{FILE}: {key}"), _OF_THE_DECISION)


def check_project_columns(project: Project, columns: Iterable[str] | Mapping[str, str]) -> list[Mistake]:
    """Return every column that the project names and the table does not have.

    Parameters
    ----------
    columns : iterable of str, or mapping of str to str
        The table's columns; a mapping also says what each holds (number, boolean, text, category, date), and then a
        column used as something else is a mistake too.
    """
    known = list(columns)
    mistakes = []
    for part in expressions_of(project):
        mistakes += check_columns(part.expression, [*known, *part.beside], part.where)
        if isinstance(columns, Mapping):
            mistakes += check_kinds(part.expression, columns, part.where)
    for key in ("case_id", "exclude", "personal", "segments"):
        for name in getattr(project.data, key):
            if name not in known:
                hint = nearest_spelling(name, known)
                mistakes.append(Mistake(f"{FILE}: data.{key}", f'the table has no column "{name}"{hint}'))
    return mistakes


def _row_expressions(project: Project) -> Iterator[tuple[str, str | None, Kind | None, tuple[str, ...]]]:
    charter, data = project.charter, project.data
    if isinstance(charter.payoff, PayoffPerCase):
        yield "charter.payoff.per_case", charter.payoff.per_case, "number", _OF_THE_PREDICTION
    else:
        for result in _RESULTS:
            yield f"charter.payoff.{result}", getattr(charter.payoff, result), "number", ()
    rule = _rule_kind(project.task)
    yield "charter.baseline_rule", charter.baseline_rule, rule, ()
    yield "charter.fallback", charter.fallback, rule, ()
    for number, guard in enumerate(charter.guards, start=1):
        key = _numbered("charter.guard", number, len(charter.guards))
        yield f"{key}.count", guard.count, "boolean", _OF_THE_DECISION
        yield f"{key}.per", guard.per, "boolean", _OF_THE_DECISION
    yield "data.label", data.label, None, ()
    for key in ("time", "label_known_at", "label_final_at"):
        yield f"data.{key}", getattr(data, key), "moment", ()


def _numbered(key: str, number: int, count: int) -> str:
    return f"{key}[{number}]" if count > 1 else key


def _rule_kind(task: Task) -> Kind | None:
    return {"binary": "boolean", "regression": "number", "multiclass": None}[task]


# --- the file, section by section


def _project(file: Section, *, folder: str) -> Project | None:
    head = _required(file, "project", 'name = "application-fraud"')
    charter_section = _required(file, "charter", 'objective = "..."')
    data_section = _required(file, "data", 'source = "cases.parquet" and label = "is_fraud"')
    train, rehearsal, serving = (file.section(key) for key in ("train", "rehearsal", "serving"))
    name = _project_name(head) if head else None
    title = head.text("title") if head else None
    wanted = head.choice("task", ("binary", "multiclass", "regression")) if head else None
    task = _task(wanted, charter_section)
    charter = _charter(charter_section, task) if charter_section else None
    data = _data(data_section) if data_section else None
    connections = read_connections(file)
    check_connection(data.source if data else None, connections, file)
    specs = _train(train), _rehearsal(rehearsal), _serving(serving)
    package = read_package(file)
    for section in (head, file):
        if section:
            section.finish()
    if name is None or charter is None or data is None:
        return None
    return Project(name, title or name, task, charter, data, *specs, folder, connections, package)


def _required(file: Section, key: str, holds: str) -> Section | None:
    if not file.has(key):
        file.wrong(key, f"the section [{key}] is missing; it holds at least {holds}")
    return file.section(key)


def _project_name(head: Section) -> str | None:
    name = head.text("name", example='"application-fraud"')
    if name is not None and (not _NAME.fullmatch(name) or len(name) > 60):
        head.wrong(
            "name", f'"{name}" is not a name; use a-z, 0-9 and single hyphens, 60 at most, as in application-fraud'
        )
    return name


def _task(wanted: str | None, charter: Section | None) -> Task:
    if wanted is not None:
        return cast(Task, wanted)
    payoff = charter.take("payoff") if charter else None
    return "regression" if isinstance(payoff, dict) and "per_case" in payoff else "binary"


def _charter(section: Section, task: Task) -> Charter | None:
    objective = section.text("objective", example='"Stop fraud before payout, with 120 reviews a day."')
    sponsor = section.text("sponsor", example='"head-of-fraud@example.com"')
    currency, timezone = _currency(section), _timezone(section)
    rule = _rule_kind(task)
    payoff = _payoff(section, task)
    action = cast(ActionKind, section.choice("action", ("reveals", "prevents")) or "reveals")
    optional: dict[str, Any] = {
        "capacity": _cases_per(section, "capacity"),
        "action": action,
        "success_share": _success_share(section, action),
        "baseline_rule": section.expression("baseline_rule", expects=rule),
        "fallback": section.expression("fallback", expects=rule),
        "control_group": section.share("control_group") or 0.0,
        "exploration_share": section.share("exploration_share") or 0.0,
        "p99_ms": section.number("p99_ms", low=0.001, unit=" of milliseconds"),
        "interruption_limit": _interruption_limit(section),
        "retraining_cost": section.number("retraining_cost", low=0, unit=" (an amount of money)") or 0.0,
        "exposure": _exposure(section),
        "reviewers": _reviewers(section),
        "kpis": tuple(kpi for kpi in map(_kpi, section.sections("kpi")) if kpi),
        "guards": tuple(guard for guard in map(_guard, section.sections("guard")) if guard),
        "retraining": _retraining(section),
        "envelope": _envelope(section),
        "promise": _promise(section),
    }
    section.finish()
    if objective is None or sponsor is None or currency is None or timezone is None or payoff is None:
        return None
    return Charter(objective, currency, timezone, sponsor, payoff, **optional)


def _currency(section: Section) -> str | None:
    currency = section.text("currency", example='"EUR"')
    if currency is not None and not re.fullmatch(r"[A-Z]{3}", currency):
        section.wrong("currency", f'"{currency}" is not a currency; write its three capital letters, such as "EUR"')
    return currency


def _timezone(section: Section) -> str | None:
    name = section.text("timezone", example='"Europe/Berlin"')
    if name is None:
        return None
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = (
            nearest_spelling(name, sorted(zoneinfo.available_timezones()))
            or '; write a name such as "Europe/Berlin" or "UTC"'
        )
        section.wrong("timezone", f'"{name}" is not a time zone{hint}')
    return name


def _success_share(section: Section, action: ActionKind) -> float | None:
    share = section.share("success_share")
    if action == "prevents" and not section.has("success_share"):
        section.wrong(
            "success_share",
            'this key is missing; with action = "prevents" the charter says in which share of acted positive cases '
            "acting changes the outcome, for example success_share = 0.3",
        )
    if action == "reveals" and section.has("success_share"):
        section.wrong(
            "success_share", 'it has a meaning only with action = "prevents"; remove it, or change the action'
        )
    return share


def _payoff(section: Section, task: Task) -> Payoff | None:
    payoff = section.section("payoff")
    if payoff is None:
        if not section.has("payoff"):
            section.wrong("payoff", f"the section is missing; it says what each of {', '.join(_RESULTS)} is worth")
        return None
    if payoff.has("per_case") or task != "binary":
        return _payoff_per_case(payoff, task)
    examples = dict(zip(_RESULTS, ('"-30"', '"-55"', '"-0.85 * amount"', '"0"'), strict=True))
    texts = [payoff.expression(result, expects="number", example=examples[result]) for result in _RESULTS]
    payoff.finish()
    return PayoffMatrix(*(text or "0" for text in texts))


def _payoff_per_case(payoff: Section, task: Task) -> PayoffPerCase | None:
    if task == "binary":
        payoff.wrong(
            "per_case", f"a yes-or-no task names {', '.join(_RESULTS)} instead, or set project.task to regression"
        )
    per_case = payoff.expression("per_case", expects="number", example='"-12 * abs(prediction - outcome)"')
    for result in _RESULTS:
        if payoff.take(result) is not None:
            payoff.wrong(result, f"it has no meaning for {task}; per_case alone says what a prediction is worth")
    payoff.finish()
    return PayoffPerCase(per_case) if per_case else None


def _cases_per(section: Section, key: str) -> Capacity | None:
    part = section.section(key)
    if part is None:
        return None
    raw = part.take("cases")
    per = part.choice("per", _CAPACITY_PERIODS, example='"day"')
    cases = None
    if isinstance(raw, int) and not isinstance(raw, bool) and raw < 1:
        message = f"{raw} cases would never let anybody act; write 1 or more, or leave [charter.{key}] out for no limit"
        part.wrong("cases", message)
    else:
        cases = part.whole("cases", low=1, example="120")
    part.finish()
    return Capacity(cases, per) if cases and per else None


def _interruption_limit(section: Section) -> InterruptionLimit | None:
    limit = _cases_per(section, "interruption_limit")
    return InterruptionLimit(limit.cases, limit.per) if limit else None


def _exposure(section: Section) -> tuple[ExposureStep, ...]:
    steps = []
    for text in section.texts("exposure"):
        try:
            steps.append(parse_exposure(text))
        except ValueError as error:
            section.wrong("exposure", str(error))
            return _FULL
    if not section.has("exposure"):
        return _FULL
    try:
        check_exposure(tuple(steps))
    except ValueError as error:
        section.wrong("exposure", str(error))
    return tuple(steps)


def _reviewers(section: Section) -> tuple[str, ...]:
    groups = []
    for part in section.sections("reviewer"):
        group = part.text("group", example='"fraud-operations"')
        part.finish()
        if group is not None and group in groups:
            part.wrong("group", f'the group "{group}" is listed twice; name each once')
        elif group is not None:
            groups.append(group)
    return tuple(groups)


def _kpi(part: Section) -> Kpi | None:
    name = part.text("name", example='"Fraud caught"')
    sql = part.aggregate("sql", example='"count(*) FILTER (acted AND outcome) / count(*) FILTER (outcome)"')
    limit = part.parsed("target", parse_limit)
    target = part.take("target") if limit else None
    part.finish()
    return Kpi(name, sql, target) if name and sql else None


def _guard(part: Section) -> Guard | None:
    name = part.text("name", example='"False alarms per fraud caught"')
    count = part.expression("count", expects="boolean", example='"acted AND NOT outcome"')
    per = part.expression("per", expects="boolean", example='"acted AND outcome"')
    limit = part.parsed("limit", parse_limit, example='"<= 4.0"')
    window = part.duration("window", example='"7d"')
    breach = part.choice("breach", ("alert", "rollback", "fallback"), example='"rollback"')
    part.finish()
    if name is None or count is None or per is None or limit is None or window is None or breach is None:
        return None
    return Guard(name, count, per, limit, window, cast(Breach, breach))


def _retraining(section: Section) -> tuple[RetrainingPolicy, ...]:
    parts = section.sections("retraining")
    policies: list[RetrainingPolicy] = []
    for number, part in enumerate(parts, start=1):
        name = part.text("name") or ("charter" if len(parts) == 1 else f"charter-{number}")
        if name == "never" or name in [policy.name for policy in policies]:
            why = "is the strategy that never retrains" if name == "never" else "is taken by another policy"
            part.wrong("name", f'"{name}" {why}; choose another name')
        policy = _policy(part, name)
        part.finish()
        policies.append(policy)
    return tuple(policies)


def _policy(part: Section, name: str) -> RetrainingPolicy:
    triggers = []
    for text in part.texts("trigger", example='["every 30d"]'):
        try:
            triggers.append(parse_trigger(text))
        except ValueError as error:
            part.wrong("trigger", str(error))
    if part.take("trigger") == []:
        part.wrong("trigger", 'a policy without a trigger never retrains; write one, such as ["every 30d"]')
    return RetrainingPolicy(name, tuple(triggers), part.duration("window"))


def _envelope(section: Section) -> Envelope:
    part = section.section("envelope")
    if part is None:
        return Envelope()
    envelope = Envelope(
        part.number("min_value_gain", unit=" (money per case)") or 0.0,
        part.share("max_loss"),
        part.number("max_change_in_cases", low=0, unit=" (a share)"),
    )
    part.finish()
    return envelope


def _promise(section: Section) -> Promise | None:
    part = section.section("promise")
    if part is None:
        return None
    value, per = part.number("value", example="310000"), part.choice("per", PERIODS, example='"month"')
    interval = part.take("interval")
    digest = part.text("rehearsal_digest", example='"3f9a..."')
    part.finish()
    ends = interval if isinstance(interval, list) else []
    numbers = [float(end) for end in ends if isinstance(end, int | float) and not isinstance(end, bool)]
    if len(ends) != 2 or len(numbers) != 2 or numbers[0] > numbers[1]:
        part.wrong("interval", f"{interval} is not an interval; write its two ends, such as [280000, 340000]")
        return None
    return Promise(value, per, (numbers[0], numbers[1]), digest) if value is not None and per and digest else None


def _data(section: Section) -> DataSpec | None:
    source = read_data_source(section)
    label = section.expression("label", example='"is_fraud"')
    times = {key: section.expression(key, expects="moment") for key in ("time", "label_known_at", "label_final_at")}
    names = {key: _columns(section, key) for key in ("case_id", "exclude", "personal", "segments")}
    positive = section.take("positive")
    if positive is not None and not isinstance(positive, str | int):
        section.wrong("positive", f'{positive} is not a value of the label, such as "Yes"')
    split = cast(Literal["time", "random"], section.choice("split", ("time", "random")) or "time")
    for key in ("label_known_at", "label_final_at"):
        if section.has(key) and not section.has("time"):
            section.wrong(key, "it needs data.time beside it, the moment at which the case is decided")
    _refuse_personal_ids(section, names["case_id"], names["personal"])
    rules = read_rules(section)
    section.finish()
    if source is None or label is None:
        return None
    said = None if positive is None else str(positive).lower() if isinstance(positive, bool) else str(positive)
    return DataSpec(source, label, positive=said, split=split, rules=rules, **times, **names)  # type: ignore[arg-type]  # by key


def _refuse_personal_ids(section: Section, case_id: tuple[str, ...], personal: tuple[str, ...]) -> None:
    """Note each personal column that names the case: names are not encrypted, so erasing could not take it away."""
    hidden = {name.casefold() for name in personal}  # a server hides columns in any case of letters
    for name in case_id:
        if name.casefold() in hidden:
            section.wrong(
                "personal",
                f'"{name}" is in case_id too, and what names a case is kept in clear in the prediction log; name cases '
                "by a column that identifies nobody, such as a number of your own, or take it out of personal",
            )


def _columns(section: Section, key: str) -> tuple[str, ...]:
    """Return names of columns; what `trueup init` wrote to be filled in is none."""
    names = section.texts(key)
    for name in names:
        if name.startswith("<") and name.endswith(">"):
            section.wrong(key, f"it still holds the placeholder {name}; write the name of a column")
    return names


def _train(section: Section | None) -> TrainSpec:
    if section is None:
        return TrainSpec()
    pipeline = section.text("pipeline")
    if pipeline is not None and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", pipeline):
        section.wrong("pipeline", f'"{pipeline}" is not module:function, such as "pipeline:make"')
    holdout: Duration | None = section.duration("holdout")
    trials, seed = section.whole("trials", low=1), section.whole("seed", low=0)
    section.finish()
    return TrainSpec(pipeline, holdout, trials or TrainSpec.trials, seed or 0)


def _rehearsal(section: Section | None) -> RehearsalSpec:
    if section is None:
        return RehearsalSpec()
    start, end = section.date("start"), section.date("end")
    if start and end and start >= end:
        section.wrong("end", f"{end} is not after start ({start})")
    turn = section.choice("turn", ("hour", "day", "week", "month")) or "day"
    window = section.choice("window", ("week", "month", "quarter")) or "month"
    section.finish()
    return RehearsalSpec(start, end, turn, window)  # type: ignore[arg-type]  # the words that choice allows


def _serving(section: Section | None) -> ServingSpec:
    if section is None:
        return ServingSpec()
    durability = section.choice("durability", ("process", "disk")) or "process"
    section.finish()
    return ServingSpec(cast(Literal["process", "disk"], durability))
