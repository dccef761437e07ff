"""What does a scraper learn of a server? Counts, latencies and scores of all its processes, in one answer."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.serve.metric_cells import Cells, read_cells

if TYPE_CHECKING:
    from trueup.serve.replies import Reply

PLAIN = b"text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = b"application/openmetrics-text; version=1.0.0; charset=utf-8"
STAGES = ("decode", "predict", "policy", "log")
_LATENCY_S = (*(float(f"{step}e{power}") for power in range(-6, 0) for step in (5, 10, 20)), 5.0)
"""5, 10, 20, 50 ... microseconds to 5 seconds."""
_LATENCY_NS = tuple(round(bound * 1e9) for bound in _LATENCY_S)
_MOST_FIELDS = 200
_SCORES = tuple(step / 20 for step in range(1, 21))


@dataclass(frozen=True)
class Family:
    """One metric: its name without ``_total``, its kind, and how it is told."""

    name: str
    kind: str
    help: str
    unit: str = ""
    merge: str = "sum"
    """How the numbers of the living processes become one gauge: ``sum`` or ``min``."""


FAMILIES = (
    Family("trueup_request_seconds", "histogram", "Time from a request's last byte to its answer.", "seconds"),
    Family("trueup_stage_seconds", "histogram", "Time of one stage of answering.", "seconds"),
    Family("trueup_score", "histogram", "Scores given, by role of the model."),
    Family("trueup_requests", "counter", "Requests answered, by HTTP status."),
    Family("trueup_requests_shed", "counter", "Requests and connections turned away, by reason."),
    Family("trueup_handler_failures", "counter", "Requests at which the server itself failed."),
    Family("trueup_predictions_served", "counter", "Predictions answered."),
    Family("trueup_predictions_logged", "counter", "Predictions that are in the log."),
    Family("trueup_predictions_fallback", "counter", "Predictions decided by the fallback rule, by reason."),
    Family("trueup_predictions_missing", "counter", "Predictions whose row lacked a field, by the first such field."),
    Family(
        "trueup_predictions_unlogged", "gauge", "Predictions served that are not in the log; 0 or below is complete."
    ),
    Family("trueup_bundle_loaded", "gauge", "Processes that hold a bundle ready, by its digest and role."),
    Family("trueup_circuit_open", "gauge", "Processes in which the model is left out after errors."),
    Family("trueup_model_restarts", "counter", "Processes of models that died and were started again, by bundle."),
    Family("trueup_desired_version", "gauge", "Version of the desired state that every process has.", merge="min"),
    Family("trueup_start_time_seconds", "gauge", "When the oldest living process started.", "seconds", merge="min"),
)


class Histogram:
    """Counts what falls between bounds, in about 0.3 us."""

    __slots__ = ("_bounds", "_first", "_sum", "_values")

    def __init__(self, cells: Cells, name: str, labels: str, bounds: Sequence[float]) -> None:
        self._values, self._bounds = cells.values, bounds
        edges = [*(f"{bound:.6g}" for bound in bounds), "+Inf"]
        places = [cells.cell(f"{name}_bucket{_with_le(labels, edge)}") for edge in edges]
        self._first = places[0]
        self._sum = cells.cell(f"{name}_sum{labels}")

    @property
    def places(self) -> tuple[int, int]:
        """Return the cells of the first bucket and of the sum."""
        return self._first, self._sum

    def observe(self, value: float) -> None:
        """Count a value; one equal to a bound lies below it."""
        values = self._values
        values[self._first + bisect_left(self._bounds, value)] += 1.0
        values[self._sum] += value


class ServerMetrics:
    """What one process counts; `text` adds up all of them.

    Parameters
    ----------
    folder : Path
        Shared by the processes of one server, and by nothing else; kept over restarts, so that counters never go back.
    name : str
        Of this process, never used before: its id and start.
    started_at : float
        Seconds since 1970.

    Attributes
    ----------
    decode, predict, policy, log : Histogram
        Seconds of each stage.
    """

    def __init__(self, folder: Path, name: str, *, started_at: float) -> None:
        self._folder = folder
        self._cells = cells = Cells(folder, name)
        self._values = cells.values
        self._requests = Histogram(cells, "trueup_request_seconds", "", _LATENCY_S)
        stages = [Histogram(cells, "trueup_stage_seconds", _labels(stage=stage), _LATENCY_S) for stage in STAGES]
        self.decode, self.predict, self.policy, self.log = stages
        self._stages = [stage.places for stage in stages]
        self._scores: dict[str, Histogram] = {}
        self._fields: set[str] = set()
        self._counted: dict[tuple[str, str | int], int] = {}
        self._served = cells.cell("trueup_predictions_served_total")
        self._logged = cells.cell("trueup_predictions_logged_total")
        self._failures = cells.cell("trueup_handler_failures_total")
        self.set_gauge("trueup_start_time_seconds", started_at)
        self.set_gauge("trueup_circuit_open", 0.0)

    # What a front tells.

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer and how long it took."""
        self._requests.observe(seconds)
        self._count("trueup_requests_total", "status", status)

    def refused(self, reason: str) -> None:
        """Count what was turned away, before or after it was a request."""
        self._count("trueup_requests_shed_total", "reason", reason)

    def failed(self, error: Exception) -> None:
        """Count a failure of the server itself."""
        self._values[self._failures] += 1.0

    # What answering tells.

    def predicted(self, reply: Reply, *, log_ns: int) -> None:
        """Count a request whose predictions are logged and told: its stages, its scores, who decided."""
        values, bounds = self._values, _LATENCY_NS
        for (first, total), took in zip(
            self._stages, (reply.decode_ns, reply.predict_ns, reply.policy_ns, log_ns), strict=True
        ):
            values[first + bisect_left(bounds, took)] += 1.0
            values[total] += took * 1e-9
        self.served(reply.rows)
        for row in reply.decided:
            if row.scores is None:
                self.fell_back(row.reason.partition(":")[2])
            elif len(row.scores) == 1:
                self.scored(row.role, row.scores[0])
        for field in reply.missing.values():
            self._lacked(field)

    def _lacked(self, field: str) -> None:
        """Count a row by the field it lacks; a schema with very many has one series for the rest."""
        if field not in self._fields:
            if len(self._fields) >= _MOST_FIELDS:
                field = "(another)"
            self._fields.add(field)
        self._count("trueup_predictions_missing_total", "field", field)

    def served(self, rows: int) -> None:
        """Count predictions that were answered."""
        self._values[self._served] += rows

    def logged(self, rows: int) -> None:
        """Count predictions that reached the log."""
        self._values[self._logged] += rows

    def fell_back(self, reason: str, rows: int = 1) -> None:
        """Count predictions the fallback rule decided."""
        self._count("trueup_predictions_fallback_total", "reason", reason, rows)

    def scored(self, role: str, score: float) -> None:
        """Count a score of a role's model."""
        found = self._scores.get(role)
        if found is None:
            found = self._scores[role] = Histogram(self._cells, "trueup_score", _labels(role=role), _SCORES)
        found.observe(score)

    def restarted(self, digest: str) -> None:
        """Count a model's process that died and was started again."""
        self._count("trueup_model_restarts_total", "digest", digest)

    def set_gauge(self, name: str, value: float, **labels: str) -> None:
        """Set what is so in this process now, as ``set_gauge("trueup_bundle_loaded", 1, digest=..., role=...)``."""
        self._values[self._cells.cell(name + _labels(**labels))] = value

    def _count(self, name: str, label: str, value: str | int, by: float = 1.0) -> None:
        key = (name, value)
        found = self._counted.get(key)
        if found is None:
            found = self._counted[key] = self._cells.cell(name + _labels(**{label: str(value)}))
        self._values[found] += by

    def text(self, *, openmetrics: bool) -> bytes:
        """Return the numbers of all processes, in OpenMetrics or in the older text format."""
        return exposition(self._folder, openmetrics=openmetrics)

    def close(self) -> None:
        """Leave the numbers to the processes that go on."""
        self._cells.close()


def exposition(folder: Path, *, openmetrics: bool) -> bytes:
    """Return what all processes counted; gauges are those of the living.

    The two formats differ in what a counter's family is called and in the end mark.
    """
    sums, living = read_cells(folder)
    lines: list[str] = []
    for family in FAMILIES:
        told = list(_samples(family, sums, living))
        if told:
            named = family.name + ("_total" if family.kind == "counter" and not openmetrics else "")
            lines += [f"# HELP {named} {family.help}", f"# TYPE {named} {family.kind}"]
            if openmetrics and family.unit:
                lines.append(f"# UNIT {named} {family.unit}")
            lines += [f"{series} {_number(value)}" for series, value in told]
    if openmetrics:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode()


def wants_openmetrics(accept: bytes) -> bool:
    """Return whether an ``Accept`` header asks for OpenMetrics 1.0.0 at least as much as for the older text.

    Only a header that names it does: who takes anything gets the older text.
    """
    openmetrics = older = 0.0
    for entry in accept.decode("latin-1").lower().split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        said = dict(parameter.partition("=")[::2] for parameter in parameters)
        if kind == "application/openmetrics-text":
            if said.get("version", "1.0.0").strip('"') == "1.0.0":
                openmetrics = max(openmetrics, _weight(said.get("q", "1")))
        elif kind in {"text/plain", "text/*", "*/*"}:
            older = max(older, _weight(said.get("q", "1")))
    return openmetrics > 0 and openmetrics >= older


def _weight(text: str) -> float:
    """Return a weight of ``Accept``, from 0 to 1; what is none counts as not wanted."""
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


def _samples(family: Family, sums: dict[str, float], living: Sequence[dict[str, float]]) -> Iterable[tuple[str, float]]:
    if family.name == "trueup_predictions_unlogged":
        served, logged = sums.get("trueup_predictions_served_total", 0), sums.get("trueup_predictions_logged_total", 0)
        yield family.name, served - logged
    elif family.kind == "gauge":
        for series in sorted({series for each in living for series in each if _is_of(series, family.name)}):
            merged = min if family.merge == "min" else sum
            yield series, merged([each[series] for each in living if series in each])
    elif family.kind == "counter":
        yield from sorted((s, value) for s, value in sums.items() if _is_of(s, f"{family.name}_total"))
    else:
        yield from _histogram(family.name, sums)


def _histogram(name: str, sums: dict[str, float]) -> Iterable[tuple[str, float]]:
    """Yield cumulative buckets, count and sum of each set of labels; buckets are kept apart and in order of bounds."""
    total = 0.0
    for series, value in sums.items():
        if series.startswith(f"{name}_bucket"):
            total += value
            yield series, total
            if 'le="+Inf"' in series:
                labels = _without_le(series[len(f"{name}_bucket") :])
                yield f"{name}_count{labels}", total
                yield f"{name}_sum{labels}", sums.get(f"{name}_sum{labels}", 0.0)
                total = 0.0


def _is_of(series: str, name: str) -> bool:
    return series == name or series.startswith(name + "{")


def _labels(**labels: str) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _with_le(labels: str, edge: str) -> str:
    return f'{{le="{edge}"}}' if not labels else f'{labels[:-1]},le="{edge}"}}'


def _without_le(labels: str) -> str:
    kept = labels[1:-1].rpartition("le=")[0].rstrip(",")
    return f"{{{kept}}}" if kept else ""


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
