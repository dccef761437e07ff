"""How does a column stand in the frame of a model made elsewhere? As its signature says, not as Trueup would make it.

Copied into a bundle's ``model/`` for MLflow (`mlflow_folder`): imports nothing but NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .values import MICROSECONDS_PER_DAY  # relative, because the copy in a bundle stands in a package of its own

TEXT = "object"
DTYPES = (TEXT, "int64", "int32", "float32", "bool", "datetime64[us]")
"""Names a `FeatureSpec.dtype` may have, beside none."""
_LAST_WHOLE = 2.0**53


def texts_as_logged(texts: Sequence[str | None]) -> NDArray[np.object_]:
    """Return texts as plain objects; missing is NaN, as in a frame that pandas reads."""
    values = [np.nan if text is None else text for text in texts]
    return np.array([*values, None], dtype=object)[:-1]


def numbers_as_logged(numbers: NDArray[np.float64], dtype: str) -> NDArray[Any]:
    """Return numbers (NaN where missing; dates as days since 1970) as an array of `dtype`.

    Raises
    ------
    ValueError
        When whole numbers or booleans are asked for and a value is missing, fractional or too large: MLflow refuses
        such a row too.
    """
    if dtype == "float32":
        with np.errstate(over="ignore"):
            return numbers.astype(np.float32)
    if dtype == "datetime64[us]":
        moments = np.rint(np.where(np.isnan(numbers), 0.0, numbers) * MICROSECONDS_PER_DAY).astype("datetime64[us]")
        return np.where(np.isnan(numbers), np.datetime64("NaT", "us"), moments)
    most = 1.0 if dtype == "bool" else min(float(np.iinfo(dtype).max), _LAST_WHOLE)
    least = 0.0 if dtype == "bool" else -most
    if not np.all((numbers >= least) & (numbers <= most) & (numbers == np.rint(numbers))):
        raise ValueError(f"a value cannot be of type {dtype}: it is missing, fractional or too large")
    return numbers.astype(dtype)
