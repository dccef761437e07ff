"""What does the answer to a prediction look like? A text that is put together, not an encoded document.

A text that comes from outside (the name of a case, a class) is encoded; all else is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from trueup.kernel.ids import id_as_text, parse_id
from trueup.lake.log_records import DecidedRow
from trueup.serve.reasons import Reason
from trueup.serve.refusals import Headers

if TYPE_CHECKING:
    from trueup.serve.loadout import Loadout

Reasons = Sequence[tuple[Reason, ...] | None] | None
_encode = msgspec.json.Encoder().encode


class Reply(msgspec.Struct, gc=False):
    """An answer, and what must be in the log before it leaves."""

    status: int
    body: bytes
    frame: bytes | None = None
    """For the recorder (`lake/log_records.py`); None where nothing is recorded."""
    more_frames: tuple[bytes, ...] = ()
    """Of a request with many facts; recorded with `frame`, all or none."""
    rows: int = 0
    """Answered rows, or recorded facts."""
    headers: Headers = ()
    content_type: bytes = b"application/json"
    project: str = ""
    """Whose log the frames belong to."""
    decided: Sequence[DecidedRow] = ()
    """The rows of a prediction, for counts."""
    key: tuple[str, bytes] | None = None
    """Under which a retry finds it; see `Answerer.recorded`."""
    shadowed: Any = None
    """What shadows are asked about afterwards; see `Answerer.shadow_frames`."""
    missing: Mapping[int, str] = {}
    """See `Answered.missing`; for counts."""
    decode_ns: int = 0
    predict_ns: int = 0
    policy_ns: int = 0


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A decided request, ready to be told in the form of its interface."""

    prediction_id: bytes
    rows: Sequence[DecidedRow]
    reasons: Reasons
    """For each row, None where the model cannot be asked why; None where nobody asked."""
    loadout: Loadout
    missing: Mapping[int, str] = {}
    """The first field that a row lacks, by row; nearly always empty."""


Form = Callable[[Answered], bytes]


def prediction_text(prediction_id: bytes, row: int) -> str:
    """Return how a row of a request is named: the id, and from the second row on ``:`` and its number."""
    text = id_as_text(prediction_id)
    return f"{text}:{row}" if row else text


def parse_prediction(text: str) -> tuple[bytes, int]:
    """Return the id and the row that a name says.

    Raises
    ------
    BadId

    Examples
    --------
    >>> parse_prediction("01890a5d-ac96-774b-bcce-b302099a8057:12")[1]
    12
    """
    name, mark, row = text.partition(":")
    if mark and not (row.isascii() and row.isdigit() and len(row) < 7):
        name = ""
    return parse_id(name), int(row) if mark and name else 0


def rows_form(answered: Answered) -> bytes:
    """Return the answer of ``POST /predict``: one object for each row."""
    if (
        len(answered.rows) == 1
        and answered.reasons is None
        and not answered.missing
        and answered.rows[0].predicted is None
    ):
        return _single_action(answered)
    classes, policy_version = answered.loadout.champion.classes, answered.loadout.policy.version
    told = []
    for place, row in enumerate(answered.rows):
        case = "null" if row.association_id is None else _text(row.association_id)
        reasons = "" if answered.reasons is None else f',"reasons":{_text(answered.reasons[place])}'
        missing = f',"missing":{_text(answered.missing[row.row])}' if row.row in answered.missing else ""
        told.append(
            f'{{"prediction_id":"{prediction_text(answered.prediction_id, row.row)}","association_id":{case},'
            f'"score":{_score(row.scores, classes)},"decision":{_decision(row)},"decision_by":"{row.role}",'
            f'"reason":"{row.reason}","qualifies":{"true" if row.qualifies else "false"},'
            f'"model_version":"{row.model_version}","policy_version":"{policy_version}"{missing}{reasons}}}'
        )
    return f'{{"predictions":[{",".join(told)}]}}'.encode()


def _single_action(answered: Answered) -> bytes:
    """Return the usual answer, whose parts are texts of ours: one row, acted on or not."""
    [row] = answered.rows
    case = "null" if row.association_id is None else _text(row.association_id)
    scores = row.scores
    score = repr(scores[0]) if scores is not None and len(scores) == 1 else _score(scores, ())
    name = prediction_text(answered.prediction_id, row.row)
    return (
        f'{{"predictions":[{{"prediction_id":"{name}","association_id":{case},"score":{score},'
        f'"decision":{"true" if row.acted else "false"},"decision_by":"{row.role}",'
        f'"reason":"{row.reason}","qualifies":{"true" if row.qualifies else "false"},'
        f'"model_version":"{row.model_version}","policy_version":"{answered.loadout.policy.version}"}}]}}'
    ).encode()


def _decision(row: DecidedRow) -> str:
    """Return the decision as JSON: whether to act, or the predicted number or class."""
    if row.predicted is None:
        return "true" if row.acted else "false"
    return _text(row.predicted)


def _score(scores: tuple[float, ...] | None, classes: Sequence[str]) -> str:
    if scores is None:
        return "null"
    if len(scores) == 1:
        return repr(scores[0])  # finite: others are refused when they are taken
    return _text(dict(zip(classes, scores, strict=True)) if classes else scores)


def _text(value: object) -> str:
    return _encode(value).decode()
