"""What is in the bytes of a request? Its rows as the model's numbers, and the few columns that the policy reads.

A struct is generated from a bundle's schema and the policy's columns, and msgspec fills it in one pass: no data frame,
and no dictionary of a whole row. The rows' own bytes go to the log as they came; sealing keeps the columns that
some bundle or the policy reads. Names, types and refusals are those of `bundle/predictors/decoder.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trueup.bundle.errors import RowBreaksSchema
from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.decoder import FIELD_TYPES, lacks_field, refusal_of, value_reader, wrong_type
from trueup.kernel.digests import digest_of
from trueup.kernel.ids import BadId, parse_id
from trueup.serve.refusals import BadForm, NotJson, TooManyRows, bad_row

Numbers = NDArray[np.float64]
Columns = dict[str, object]
_WHOLE_KEPT: Any = int | float | bool | str | None
"""A column that is read as text keeps a whole number as one: 5 is "5", and 5.0 is "5.0", as in a table."""
_LONGEST_ID = 512
_NAN = float("nan")


class _Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    rows: msgspec.Raw
    prediction_id: str | None = None
    association_ids: list[str | int | None] | None = None
    reasons: int = 0


_envelope = msgspec.json.Decoder(_Envelope)


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What a caller asks, whatever the interface."""

    rows: bytes
    """A JSON array of objects, in UTF-8, as it came."""
    prediction_id: bytes | None = None
    """The caller's own, 16 bytes."""
    association_ids: tuple[str | None, ...] | None = None
    """One for each row; None: from the columns that name a case."""
    reasons: int = 0
    """How many features to name for each row that moved its score most."""


class ReadRows(msgspec.Struct, frozen=True, gc=False):
    """Rows of one request, as one bundle reads them."""

    numbers: Numbers
    """Shape (n_rows * n_features,), row after row; without features where a model takes texts. NaN where a row lacks
    one."""
    columns: list[Columns]
    """What the policy reads, one mapping for each row; a column that is absent is not in it."""
    lacking: Mapping[int, str]
    """Rows that cannot be scored and decided in the usual way, with the first field each lacks; nearly always empty."""


@dataclass(frozen=True)
class PolicyColumns:
    """The columns of a row that a policy reads, and what for."""

    kinds: Mapping[str, str]
    """number, text, boolean, moment or any, by name."""
    required: frozenset[str]
    """Payoff, baseline and fallback read them."""
    fallback: frozenset[str]
    """With these alone the fallback decides."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> PolicyColumns:
        """Return the columns of a policy document (`align/decision_policy.py`)."""
        plans, kinds = document["plans"], document["columns"]
        rules = [plans["payoff"], plans["baseline_rule"], plans["fallback"]]
        return cls(
            kinds=dict(kinds),
            required=frozenset(_columns_in(rules)) & frozenset(kinds),
            fallback=frozenset(_columns_in(plans["fallback"])),
        )


def read_envelope(body: bytes, *, most_rows: int) -> Asked:
    """Return what the body of ``POST /predict`` asks; its rows are read later, by the bundle that answers.

    Raises
    ------
    NotJson
    BadForm
    """
    try:
        if not body.isascii():
            body.decode()
        envelope = _envelope.decode(body)
    except msgspec.ValidationError as error:
        raise BadForm(_form_of(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJson("the request is no JSON text in UTF-8") from None
    if not 0 <= envelope.reasons <= most_rows:
        raise BadForm("reasons must be how many features to name, 0 or more", field="reasons")
    given = envelope.association_ids
    return Asked(
        bytes(envelope.rows),
        None if envelope.prediction_id is None else own_id(envelope.prediction_id),
        None if given is None else association_texts(given),
        envelope.reasons,
    )


def own_id(text: str) -> bytes:
    """Return the id a caller gave, 16 bytes.

    Raises
    ------
    BadForm
    """
    try:
        return parse_id(text)
    except BadId as error:
        raise BadForm(f"prediction_id: {error.message}", field="prediction_id") from None


def association_texts(given: Sequence[str | int | None]) -> tuple[str | None, ...]:
    """Return the names of cases as texts.

    Raises
    ------
    BadForm
        When one is empty or longer than 512 characters.
    """
    for place, one in enumerate(given):
        if type(one) is str and not 0 < len(one) <= _LONGEST_ID:
            raise BadForm(
                f"association_ids: number {place} has {len(one)} characters; 1 to {_LONGEST_ID} are allowed",
                field="association_ids",
            )
    return tuple(None if one is None else str(one) for one in given)


class RowReader:
    """Reads the rows that one bundle and the policy are asked about.

    Parameters
    ----------
    features : sequence of FeatureSpec
        The bundle's schema. With a free text no numbers are made: such a model runs in a process of its own.
    columns : PolicyColumns
        What the policy reads.
    most_rows : int
        In one request.

    Attributes
    ----------
    schema : dict
        Kind of every column that is read, by name; `schema_digest` names it in the log.
    """

    def __init__(self, features: Sequence[FeatureSpec], columns: PolicyColumns, *, most_rows: int) -> None:
        self.features = tuple(features)
        self._kinds: dict[str, str] = {**_told_kinds(columns), **{f.name: f.kind for f in features}}
        self._columns = columns
        self.most_rows = most_rows
        self._numeric = all(f.kind != "text" for f in features)
        self._width = len(self.features) if self._numeric else 0
        self._readers = [
            (place, _reader_of(f, columns)) for place, f in enumerate(features) if _needs_reader(f, columns)
        ]
        names = [f.name for f in features] + [name for name in columns.kinds if name not in _names(features)]
        self._names = names
        self._needed = _names(features) | columns.required
        self._picked = [(name, names.index(name)) for name in columns.kinds]
        extra = set(columns.kinds) - columns.required - _names(features)
        self._strict = _decoder_of(names, self._types(), optional=dict.fromkeys(extra))
        self._lenient = _decoder_of(names, self._types(), optional=dict.fromkeys(names, msgspec.UNSET))
        self.schema = dict(sorted(self._kinds.items()))
        self.schema_digest = digest_of(self.schema)

    def _types(self) -> dict[str, Any]:
        types: dict[str, Any] = dict.fromkeys(self._columns.kinds, _WHOLE_KEPT)
        for feature in self.features:
            usual = str | None if feature.kind == "text" else FIELD_TYPES[feature.kind]
            types[feature.name] = usual | int if _keeps_whole(feature, self._columns) else usual
        return types

    def read(self, rows: bytes) -> ReadRows:
        """Return the rows of a JSON array of objects.

        Raises
        ------
        BadRow
            When a value has the wrong type. A row that lacks a field is told in `ReadRows.lacking`.
        BadForm
            When there is no row.
        NotJson, TooManyRows
        """
        try:
            records = self._strict.decode(rows)
        except (msgspec.DecodeError, RecursionError) as error:
            if "missing required field" not in str(error):
                raise self._refused(error) from None
            return self._read_lacking(rows)
        if len(records) == 1:
            given = msgspec.structs.astuple(records[0])
            return ReadRows(self._numbers(given, 0), [self._pick(given)], {})
        self._check_count(len(records))
        tuples = [msgspec.structs.astuple(record) for record in records]
        numbers = np.concatenate([self._numbers(given, row) for row, given in enumerate(tuples)])
        return ReadRows(numbers, [self._pick(given) for given in tuples], {})

    def read_single(self, rows: bytes) -> tuple[Numbers, Columns] | None:
        """Return the only row of a JSON array: its numbers, and what the policy reads; None where `read` must look.

        Raises
        ------
        BadRow
            When a value has the wrong type.
        """
        try:
            records = self._strict.decode(rows)
        except (msgspec.DecodeError, RecursionError):
            return None
        if len(records) != 1:
            return None
        given = msgspec.structs.astuple(records[0])
        return self._numbers(given, 0), self._pick(given)

    def _read_lacking(self, rows: bytes) -> ReadRows:
        try:
            records = self._lenient.decode(rows)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._refused(error) from None
        self._check_count(len(records))
        tuples = [msgspec.structs.astuple(record) for record in records]
        lacking = {row: name for row, given in enumerate(tuples) if (name := self._first_lacking(given)) is not None}
        numbers = [self._numbers(_nulled(given), row) for row, given in enumerate(tuples)]
        for row in lacking:
            numbers[row][:] = _NAN
        return ReadRows(np.concatenate(numbers), [self._pick_present(given) for given in tuples], lacking)

    def lacks(self, row: int, field: str) -> RowBreaksSchema:
        """Return the refusal of a row that lacks a field."""
        return lacks_field(field, self._kinds[field], row=row)

    def can_fall_back(self, columns: Columns) -> bool:
        """Return whether a row has what the fallback reads."""
        return self._columns.fallback <= columns.keys()

    def first_without(self, columns: Columns) -> str:
        """Return a field that the fallback reads and the row lacks."""
        return min(self._columns.fallback - columns.keys())

    def _first_lacking(self, given: tuple[Any, ...]) -> str | None:
        pairs = zip(self._names, given, strict=True)
        return next((name for name, value in pairs if value is msgspec.UNSET and name in self._needed), None)

    def _numbers(self, given: tuple[Any, ...], row: int) -> Numbers:
        values = list(given[: self._width])
        for place, reader in self._readers:
            value = given[place]
            if value is not None:
                try:
                    number = reader(value)
                except (TypeError, ValueError, OverflowError):
                    feature = self.features[place]
                    raise bad_row(wrong_type(feature.name, feature.kind, row=row, seen=type(value).__name__)) from None
                if self._numeric:
                    values[place] = number
        return np.array(values, dtype=np.float64)

    def _pick(self, given: tuple[Any, ...]) -> Columns:
        return {name: given[place] for name, place in self._picked}

    def _pick_present(self, given: tuple[Any, ...]) -> Columns:
        return {name: given[place] for name, place in self._picked if given[place] is not msgspec.UNSET}

    def _check_count(self, count: int) -> None:
        if count == 0:
            raise BadForm("rows must hold at least one row", field="rows")
        if count > self.most_rows:
            raise TooManyRows(
                f"the request has {count} rows, and at most {self.most_rows} are answered at once; send several",
                rows=count,
            )

    def _refused(self, error: Exception) -> Exception:
        text = str(error)
        if isinstance(error, msgspec.ValidationError) and "`$" not in text:
            return BadForm("rows must be a list of objects, one for each row", field="rows")
        return bad_row(refusal_of(error, self._kinds))


def _decoder_of(
    names: Sequence[str], types: Mapping[str, Any], *, optional: Mapping[str, Any]
) -> msgspec.json.Decoder[list[Any]]:
    """Return what reads an array of rows; `optional` says what a field is when it is absent."""
    fields: list[Any] = []
    for place, name in enumerate(names):
        field = (f"f{place}", types[name] | msgspec.UnsetType)
        fields.append((*field, optional[name]) if name in optional else field)
    rename = {f"f{place}": name for place, name in enumerate(names)}
    record = msgspec.defstruct("Row", fields, rename=rename, gc=False, kw_only=True)
    return msgspec.json.Decoder(list[record])  # type: ignore[valid-type]  # made from the schema


def _told_kinds(columns: PolicyColumns) -> dict[str, str]:
    return {name: "plain value" if kind == "any" else kind for name, kind in columns.kinds.items()}


def _nulled(given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(None if value is msgspec.UNSET else value for value in given)


def _names(features: Sequence[FeatureSpec]) -> set[str]:
    return {f.name for f in features}


def _keeps_whole(feature: FeatureSpec, columns: PolicyColumns) -> bool:
    return columns.kinds.get(feature.name, "number") not in ("number", "boolean")


def _needs_reader(feature: FeatureSpec, columns: PolicyColumns) -> bool:
    return feature.kind not in ("number", "text") or (feature.kind == "number" and _keeps_whole(feature, columns))


def _reader_of(feature: FeatureSpec, columns: PolicyColumns) -> Any:
    return float if feature.kind == "number" else value_reader(feature)


def _columns_in(part: Any) -> Iterator[str]:
    """Yield the names of the columns that plans read, nested as JSON holds them."""
    if isinstance(part, Mapping):
        part = list(part.values())
    if isinstance(part, list | tuple):
        if len(part) > 1 and part[0] == "column":
            yield part[1]
            return
        for inner in part:
            yield from _columns_in(inner)


def _form_of(error: msgspec.ValidationError) -> str:
    text = str(error)
    for name, form in (
        ("prediction_id", "a text"),
        ("association_ids", "a list of texts, one for each row"),
        ("reasons", "a whole number"),
    ):
        if f"$.{name}" in text:
            return f"{name} must be {form}"
    return (
        'the request must be a JSON object {"rows": [...]}; beside rows it may hold prediction_id, association_ids and '
        "reasons, and nothing else"
    )
