"""How do the bytes of a request become the numbers a compiled predictor takes? A decoder made from the schema.

One pass with msgspec, no data frame: numbers, booleans and dates become float64, a category its position among the
schema's categories. What is not known becomes NaN: null, a category never seen, a fractional or negative code. (Where
the model takes texts as they come, a category never seen is the position behind the last.) The same values as `frames`
gives (a test holds that). Nothing slower than NumPy is imported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trueup.bundle.errors import BundleError, RowBreaksSchema
from trueup.bundle.features import FeatureSpec
from trueup.bundle.values import category_text, read_boolean, read_date

Row = NDArray[np.float64]
_MOST_EXACT_SIZE = 1.7976931348623157e308
FIELD_TYPES: dict[str, Any] = {
    "number": float | bool | None,
    "boolean": float | bool | str | None,
    "date": float | bool | str | None,
    "category": float | bool | str | None,
}
"""What a field of each kind may hold as it arrives; null is missing."""
_PLACE = re.compile(r"at `\$\[?(\d*)\]?\.?(.*)`$")
_MISSING = re.compile(r"missing required field `(.*?)`(?: - at `\$\[(\d+)\]`)?$")


class NotDecodable(BundleError):
    """A feature is of a kind that no number stands for."""

    code = "bundle.not-decodable"


class Decoder:
    """Reads requests of one schema.

    Parameters
    ----------
    features : sequence of FeatureSpec
        Inputs of the model, in order.

    Raises
    ------
    NotDecodable
        When a feature is free text.

    Notes
    -----
    A field that is no feature is skipped without being read. A number larger than a float64 holds is refused.
    """

    def __init__(self, features: Sequence[FeatureSpec]) -> None:
        refuse_free_text(features)
        self._features = tuple(features)
        self._kinds = {f.name: f.kind for f in features}
        fields = [(f"f{place}", FIELD_TYPES[f.kind]) for place, f in enumerate(features)]
        rename = {f"f{place}": f.name for place, f in enumerate(features)}
        record = msgspec.defstruct("Request", fields, rename=rename, gc=False)
        self._one = msgspec.json.Decoder(record)
        self._many = msgspec.json.Decoder(list[record])  # type: ignore[valid-type]  # made from the schema
        self._values: Callable[[Any], tuple[Any, ...]] = msgspec.structs.astuple
        self._readers = [(place, value_reader(f)) for place, f in enumerate(features) if f.kind != "number"]

    def decode(self, content: bytes) -> Row:
        """Return one row, shape (n_features,), of a JSON object.

        Raises
        ------
        RowBreaksSchema
            When it is no JSON, lacks a feature (an unknown value is null), or a value has the wrong type.
        """
        try:
            record = self._one.decode(content)
        except (msgspec.DecodeError, RecursionError) as error:
            raise refusal_of(error, self._kinds) from None
        return np.array(self._read(self._values(record), 0), dtype=np.float64)

    def decode_many(self, content: bytes) -> Row:
        """Return rows, shape (n_rows, n_features), of a JSON array of objects; raises like `decode`."""
        try:
            records = self._many.decode(content)
        except (msgspec.DecodeError, RecursionError) as error:
            raise refusal_of(error, self._kinds) from None
        rows = [self._read(self._values(record), place) for place, record in enumerate(records)]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self._features))

    def _read(self, given: tuple[Any, ...], row: int) -> list[Any]:
        values = list(given)  # None becomes NaN in the array
        for place, reader in self._readers:
            value = values[place]
            if value is not None:
                try:
                    values[place] = reader(value)
                except (TypeError, ValueError, OverflowError):
                    feature = self._features[place]
                    raise wrong_type(feature.name, feature.kind, row=row, seen=type(value).__name__) from None
        return values


def refuse_free_text(features: Sequence[FeatureSpec]) -> None:
    """Raise when a feature is of a kind that no number stands for.

    Raises
    ------
    NotDecodable
    """
    for feature in features:
        if feature.kind == "text":
            raise NotDecodable(f'"{feature.name}" is free text, which no number stands for', column=feature.name)


def wrong_type(field: str, kind: str, *, row: int, seen: str) -> RowBreaksSchema:
    """Return the refusal of a value by its field and its type; the value itself is never repeated."""
    form = " of this form" if seen == "str" else ""
    return RowBreaksSchema(
        f'row {row}: "{field}" must be a {kind} or null, not {seen}{form}',
        row=row,
        field=field,
    )


def refusal_of(error: Exception, kinds: Mapping[str, str]) -> RowBreaksSchema:
    """Return what a decoder's error means to the caller who sent the rows.

    Parameters
    ----------
    error : Exception
        Of msgspec, for one row or an array of rows.
    kinds : mapping of str to str
        Kind of each field; only these are named.
    """
    text = str(error)
    if missing := _MISSING.search(text):
        return lacks_field(missing[1], kinds.get(missing[1], "value"), row=int(missing[2] or 0))
    place = _PLACE.search(text)
    if place and place[2] in kinds:
        seen = "another type" if "got" not in text else text.rsplit("got `", maxsplit=1)[-1].split("`", maxsplit=1)[0]
        return wrong_type(place[2], kinds[place[2]], row=int(place[1] or 0), seen=seen)
    if isinstance(error, msgspec.ValidationError):
        return RowBreaksSchema("the request must be a JSON object with one value for each feature", row=0, field="")
    return RowBreaksSchema("the request is no JSON text in UTF-8", row=0, field="")


def lacks_field(field: str, kind: str, *, row: int) -> RowBreaksSchema:
    """Return the refusal of a row without a field."""
    return RowBreaksSchema(f'row {row} lacks "{field}" ({kind}); send null where it is not known', row=row, field=field)


def value_reader(feature: FeatureSpec) -> Callable[[Any], float]:
    """Return what turns a value of a feature that is no number into one.

    It raises TypeError, ValueError or OverflowError for a value of the wrong form; it is not given null.
    """
    if feature.kind == "category":
        return _category_reader(feature)
    read = read_boolean if feature.kind == "boolean" else read_date
    return lambda value: _finite(read(value))


def _category_reader(feature: FeatureSpec) -> Callable[[Any], float]:
    places: dict[str | None, float] = {text: float(place) for place, text in enumerate(feature.categories)}
    unknown = math.nan if feature.unknown_place is None else float(feature.unknown_place)
    places[None] = math.nan

    def read(value: Any) -> float:
        return places.get(value if type(value) is str else category_text(value), unknown)

    return read


def _finite(value: float) -> float:
    return value if abs(value) <= _MOST_EXACT_SIZE else math.nan
