"""Who is asked about the rows of a request, and what did they answer? One request on its way to a decision."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

from trueup.bundle.golden import Output
from trueup.lake.log_records import CHAMPION
from trueup.serve.loadout import Loadout, Seat
from trueup.serve.refusals import BadForm, Refused
from trueup.serve.replies import Form, Reply
from trueup.serve.row_requests import Asked, Columns, ReadRows

MODEL_ERROR, DEADLINE, MISSING_FEATURES = "model_error", "deadline", "missing_features"
OPEN_CIRCUIT, PAUSED, NO_MODEL = "open_circuit", "paused", "no_model"
FAILURES = {
    MODEL_ERROR: "the model raised an error, or its process ended",
    DEADLINE: "the model did not answer in time",
    MISSING_FEATURES: "the row lacks a feature the model needs, or the model gives no score without it",
    OPEN_CIRCUIT: "the model failed several times in a row and is left alone for a while",
    PAUSED: "an operator or a guard let the fallback decide everything",
    NO_MODEL: "the bundle could not be opened here",
}
"""What an answer's reason says after ``fallback:``."""


class Work:
    """One request: its rows, who decides each, and their answers."""

    __slots__ = (
        "answers",
        "asked",
        "body_hash",
        "caller",
        "columns",
        "decode_ns",
        "done",
        "failures",
        "form",
        "ids",
        "loadout",
        "moment",
        "predict_ns",
        "prediction_id",
        "read",
        "reads",
        "seats",
        "started_ns",
        "units",
        "waiting",
    )  # fmt: skip

    def __init__(
        self, asked: Asked, loadout: Loadout, *, caller: str, moment: int, started_ns: int, form: Form
    ) -> None:
        self.asked, self.loadout, self.caller, self.form = asked, loadout, caller, form
        self.moment, self.started_ns = moment, started_ns
        self.prediction_id = asked.prediction_id or b""
        self.body_hash = 0
        self.read: ReadRows = loadout.champion.reader.read(asked.rows)
        self.reads: dict[Seat, ReadRows] = {loadout.champion: self.read}
        self.columns: Sequence[Columns] = self.read.columns
        self.ids = _cases_of(self)
        self.units: Sequence[int] = ()
        self.seats: list[Seat] = []
        self.answers: list[Output] = [None] * len(self.columns)
        self.failures: dict[int, str] = {}
        """Why a row has no answer."""
        self.waiting: list[tuple[Seat, list[int]]] = []
        """Models in other processes, and the rows they are asked about."""
        self.done: asyncio.Future[Reply] | None = None
        self.decode_ns = self.predict_ns = 0

    def assign(self) -> None:
        """Say which seat decides each row: sticky by the hash of its case."""
        loadout = self.loadout
        if loadout.draws:
            given = self.ids
            unit_hash, own = loadout.policy.unit_hash, self.prediction_id.hex()
            self.units = [unit_hash(f"{own}:{row}" if name is None else name) for row, name in enumerate(given)]
        else:
            self.units = [0] * len(self.columns)
        self.seats = [loadout.champion] * len(self.columns)
        if loadout.canaries:
            self.seats = [self._readable(loadout.seat_of(unit), row) for row, unit in enumerate(self.units)]

    def _readable(self, seat: Seat, row: int) -> Seat:
        """Return the seat, or the champion where a canary with another schema cannot read the row."""
        read = self.read_for(seat)
        readable = read is not None and (row not in read.lacking or row in self.read.lacking)
        return seat if readable else self.loadout.champion

    def groups(self) -> list[tuple[Seat, list[int]]]:
        """Return the rows of each seat."""
        if not self.loadout.canaries:
            return [(self.loadout.champion, list(range(len(self.seats))))]
        found: dict[Seat, list[int]] = {}
        for row, seat in enumerate(self.seats):
            found.setdefault(seat, []).append(row)
        return list(found.items())

    def read_for(self, seat: Seat) -> ReadRows | None:
        """Return the rows as a seat's own schema reads them; None where they break it, which is not the caller's fault.

        The caller keeps to the champion's schema.
        """
        if seat not in self.reads:
            if seat.reader.features == self.loadout.champion.reader.features:
                return self.read
            try:
                self.reads[seat] = seat.reader.read(self.asked.rows)
            except Refused:
                if seat.role == CHAMPION:
                    raise
                return None
        return self.reads[seat]

    def take(self, rows: Sequence[int], outputs: Sequence[Output]) -> None:
        """Write down what a model answered."""
        for row, output in zip(rows, outputs, strict=True):
            if row in self.failures:
                continue
            if output is None or not all(map(math.isfinite, output)):
                self.failures[row] = MISSING_FEATURES
            else:
                self.answers[row] = output

    def missing(self) -> Mapping[int, str]:
        """Return the first field that each row without a score for it lacks."""
        lacking = self.read.lacking
        return {row: lacking[row] for row in lacking if self.failures.get(row) == MISSING_FEATURES}

    def fail(self, rows: Sequence[int], why: str) -> None:
        """Write down that a model did not answer."""
        for row in rows:
            self.failures[row] = why


def score_here(seat: Seat, read: ReadRows, rows: Sequence[int]) -> list[Output]:
    """Return what a model in this process answers for some rows; None where it refuses one."""
    predictor = seat.predictor
    if predictor is None:
        return [None] * len(rows)
    count = len(read.columns)
    if count == 1:
        return [tuple(predictor.score_row(read.numbers).tolist())]
    matrix = read.numbers.reshape(count, -1)
    scores = predictor.score_rows(matrix if len(rows) == count else matrix[list(rows)])
    return [tuple(one) for one in scores.tolist()]


def _cases_of(work: Work) -> Sequence[str | None]:
    given = work.asked.association_ids
    if given is None:
        name_of = work.loadout.policy.association_of
        return [name_of(columns) for columns in work.columns]
    if len(given) != len(work.columns):
        raise BadForm(
            f"association_ids has {len(given)} entries for {len(work.columns)} rows; give one for each row, or none",
            field="association_ids",
        )
    return given
