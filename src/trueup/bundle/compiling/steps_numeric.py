"""How do steps on numbers become instructions? In the order of operations of the original: trees see the same bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.compiling.steps_encoding import impute_objects, in_order, probe
from trueup.bundle.compiling.tracing import Block, Traced, Tracer, Uncompilable, encoded
from trueup.bundle.compiling.wrapping import given_by

Columns = list[Traced]
_KEEPS_FLOAT32 = "the columns are float32, and the step computes in float32"


def numeric(tracer: Tracer, block: Block, *, path: str, exact: bool = False) -> Columns:
    """Return the columns as a step on numbers sees them: texts that are numbers are read.

    Parameters
    ----------
    exact : bool
        The step only moves or compares numbers, so float32 does no harm.

    Raises
    ------
    Uncompilable
        When a text is no number, or the step computes in float32.
    """
    if block.columns and all(column.dtype == "float32" for column in block.columns) and not exact:
        raise Uncompilable(path, _KEEPS_FLOAT32)
    return [_number(tracer, column, path) for column in block.columns]


def _number(tracer: Tracer, column: Traced, path: str) -> Traced:
    if column.values is None:
        return replace(column, dtype="float64")
    try:
        values = np.asarray(column.values, dtype=np.float64)
    except (TypeError, ValueError):
        raise Uncompilable(path, "it takes texts as numbers") from None
    return replace(column, dtype="float64", values=values, may_miss=True, may_overflow=True)


def _arithmetic(
    tracer: Tracer, columns: Sequence[Traced], function: str, by: Any, *, may_overflow: bool = True
) -> Columns:
    constants = encoded(np.broadcast_to(np.asarray(by, dtype=np.float64), (len(columns),)))
    return tracer.each(
        columns, "arithmetic", of_column={"by": constants}, of_all={"function": function}, may_overflow=may_overflow
    )


def _standard_scaler(tracer: Tracer, scaler: Any, block: Block, path: str) -> Block:
    columns = numeric(tracer, block, path=path)
    tracer.refuse(columns, missing_allowed=True)
    sparse = block.container == "sparse"
    if scaler.with_mean and scaler.mean_ is not None and not sparse:
        columns = _arithmetic(tracer, columns, "subtract", scaler.mean_)
    if scaler.with_std and scaler.scale_ is not None:
        columns = _scaled(tracer, columns, scaler.scale_, sparse=sparse)
    return given_by(scaler, columns, path=path, sparse=sparse)


def _scaled(tracer: Tracer, columns: Columns, scale: Any, *, sparse: bool) -> Columns:
    """Divide; a sparse matrix is multiplied by the inverse, which rounds differently."""
    if sparse:
        return _arithmetic(tracer, columns, "multiply", 1 / np.asarray(scale, dtype=np.float64))
    return _arithmetic(tracer, columns, "divide", scale)


def _min_max_scaler(tracer: Tracer, scaler: Any, block: Block, path: str) -> Block:
    columns = numeric(tracer, block, path=path)
    tracer.refuse(columns, missing_allowed=True)
    columns = _arithmetic(tracer, columns, "multiply", scaler.scale_)
    columns = _arithmetic(tracer, columns, "add", scaler.min_)
    if scaler.clip:
        columns = _clipped(tracer, columns, *scaler.feature_range)
    return given_by(scaler, columns, path=path)


def _clipped(tracer: Tracer, columns: Columns, least: float, most: float) -> Columns:
    columns = _arithmetic(tracer, columns, "maximum", float(least))
    return _arithmetic(tracer, columns, "minimum", float(most), may_overflow=False)


def _max_abs_scaler(tracer: Tracer, scaler: Any, block: Block, path: str) -> Block:
    columns = numeric(tracer, block, path=path)
    tracer.refuse(columns, missing_allowed=True)
    sparse = block.container == "sparse"
    columns = _scaled(tracer, columns, scaler.scale_, sparse=sparse)
    if getattr(scaler, "clip", False):
        columns = _clipped(tracer, columns, -1.0, 1.0)
    return given_by(scaler, columns, path=path, sparse=sparse)


def _robust_scaler(tracer: Tracer, scaler: Any, block: Block, path: str) -> Block:
    columns = numeric(tracer, block, path=path)
    tracer.refuse(columns, missing_allowed=True)
    sparse = block.container == "sparse"
    if scaler.with_centering and not sparse:
        columns = _arithmetic(tracer, columns, "subtract", scaler.center_)
    if scaler.with_scaling:
        columns = _scaled(tracer, columns, scaler.scale_, sparse=sparse)
    return given_by(scaler, columns, path=path, sparse=sparse)


def _simple_imputer(tracer: Tracer, imputer: Any, block: Block, path: str) -> Block:
    if any(column.dtype in {"object", "category"} for column in block.columns):
        return impute_objects(tracer, imputer, block, path)
    if block.container == "sparse":
        raise Uncompilable(path, "an imputer behind a sparse matrix is not compiled")
    columns = numeric(tracer, block, path=path, exact=True)
    missing = _missing_value(imputer.missing_values, path)
    tracer.refuse(columns, missing_allowed=missing is None)
    statistics = np.asarray(imputer.statistics_, dtype=np.float64)
    kept = list(range(len(columns))) if imputer.keep_empty_features else np.flatnonzero(~np.isnan(statistics)).tolist()
    filled = tracer.each(
        [columns[place] for place in kept],
        "fill",
        of_column={"by": encoded(statistics[kept])},
        of_all={"missing": missing},
        may_miss=missing is not None,
    )
    if imputer.add_indicator:
        filled += _indicated(tracer, [columns[place] for place in imputer.indicator_.features_], missing)
    dtype = "float32" if all(column.dtype == "float32" for column in block.columns) else "float64"
    return given_by(imputer, [replace(column, dtype=dtype) for column in filled], path=path)


def _missing_value(missing: Any, path: str) -> float | None:
    if missing is None or isinstance(missing, str):
        raise Uncompilable(path, "it looks for a text that stands for missing")
    try:
        return None if np.isnan(missing) else float(missing)
    except TypeError:
        return None  # pandas.NA


def _indicated(tracer: Tracer, columns: Columns, missing: float | None) -> Columns:
    if not columns:
        return []
    return tracer.each(columns, "missing", of_all={"missing": missing}, dtype="bool", may_miss=False)


def _missing_indicator(tracer: Tracer, indicator: Any, block: Block, path: str) -> Block:
    if block.container == "sparse" or indicator.sparse is True:
        raise Uncompilable(path, "an indicator of missing values as a sparse matrix is not compiled")
    if any(column.dtype in {"object", "category"} for column in block.columns):
        raise Uncompilable(path, "an indicator of missing texts is not compiled")
    columns = numeric(tracer, block, path=path, exact=True)
    missing = _missing_value(indicator.missing_values, path)
    tracer.refuse(columns, missing_allowed=missing is None)
    if indicator.features == "missing-only" and indicator.error_on_new:
        others = [column for place, column in enumerate(columns) if place not in set(indicator.features_)]
        _refuse_marked(tracer, _indicated(tracer, others, missing))
    chosen = [columns[place] for place in indicator.features_]
    return given_by(indicator, _indicated(tracer, chosen, missing), path=path)


def _refuse_marked(tracer: Tracer, columns: Columns) -> None:
    """Refuse the rows in which one of these is 1: 0 / (1 - x) is NaN there, else 0."""
    if columns:
        left = _arithmetic(tracer, _arithmetic(tracer, columns, "multiply", -1.0), "add", 1.0)
        slots = tracer.places_of(left)
        nothing = tracer.with_constant(slots, "multiply", 0.0)
        tracer.checks += [Traced(slot) for slot in tracer.between(nothing, "divide", slots)]


def _binarizer(tracer: Tracer, binarizer: Any, block: Block, path: str) -> Block:
    columns = numeric(tracer, block, path=path, exact=True)
    tracer.refuse(columns, missing_allowed=False)
    columns = _arithmetic(tracer, columns, "greater", binarizer.threshold, may_overflow=False)
    return given_by(binarizer, columns, path=path, sparse=block.container == "sparse")


def _normalizer(tracer: Tracer, normalizer: Any, block: Block, path: str) -> Block:
    columns = numeric(tracer, block, path=path)
    tracer.refuse(columns, missing_allowed=False)
    slots = tracer.places_of(columns)
    if normalizer.norm == "l2":
        norm = tracer.apply(tracer.reduce(tracer.between(slots, "multiply", slots), "add"), "sqrt")
    else:
        norm = tracer.reduce(tracer.apply(slots, "abs"), "add" if normalizer.norm == "l1" else "maximum")
    smallest = 10 * np.finfo(np.float64).eps
    # scikit-learn divides a row by 1 whose norm is (next to) nothing
    tiny = tracer.with_constant(norm, "less", smallest)
    kept = tracer.between(norm, "multiply", tracer.with_constant(norm, "greater_equal", smallest))
    divided = tracer.between(slots, "divide", tracer.between(kept, "add", tiny))
    sparse = block.container == "sparse"
    return given_by(normalizer, _numbers(divided), path=path, sparse=sparse)


def _power_transformer(tracer: Tracer, transformer: Any, block: Block, path: str) -> Block:
    columns = numeric(tracer, block, path=path)
    tracer.refuse(columns, missing_allowed=True)
    if transformer.method == "box-cox":
        raise Uncompilable(path, "the Box-Cox transform is not compiled")
    columns = tracer.each(columns, "yeo_johnson", of_column={"by": encoded(transformer.lambdas_)}, may_overflow=True)
    if not transformer.standardize:
        return given_by(transformer, columns, path=path)
    scaled = _standard_scaler(tracer, transformer._scaler, Block(tuple(columns), "array"), path)
    return given_by(transformer, scaled.columns, path=path)


def _quantile_transformer(tracer: Tracer, transformer: Any, block: Block, path: str) -> Block:
    if block.container == "sparse":
        raise Uncompilable(path, "quantiles of a sparse matrix are not compiled")
    columns = numeric(tracer, block, path=path)
    tracer.refuse(columns, missing_allowed=True)
    references = transformer.references_
    quantiles = transformer.quantiles_.T
    normal = transformer.output_distribution == "normal"
    document = {
        "quantiles": [encoded(one) for one in quantiles],
        "references": [encoded(references)] * len(columns),
    }
    columns = tracer.each(columns, "quantile", of_column=document, of_all={"normal": normal})
    return given_by(transformer, columns, path=path)


def _polynomial(tracer: Tracer, polynomial: Any, block: Block, path: str) -> Block:
    if block.container == "sparse":
        raise Uncompilable(path, "polynomials of a sparse matrix are not compiled")
    columns = numeric(tracer, block, path=path)
    tracer.refuse(columns, missing_allowed=False)
    slots = tracer.places_of(columns)
    powers = [tuple(np.repeat(np.arange(len(slots)), row).tolist()) for row in polynomial.powers_]
    known: dict[tuple[int, ...], int] = {(place,): slot for place, slot in enumerate(slots)}
    for degree in range(2, max((len(one) for one in powers), default=0) + 1):
        wanted = [one for one in _with_parts(powers) if len(one) == degree]
        if wanted:
            # scikit-learn multiplies the product of the later columns by the first
            products = tracer.between(
                [known[one[1:]] for one in wanted], "multiply", [known[one[:1]] for one in wanted]
            )
            known.update(zip(wanted, products, strict=True))
    if () in powers:
        known[()] = tracer.constant([1.0])[0]
    return given_by(polynomial, _numbers([known[one] for one in powers]), path=path)


def _with_parts(powers: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    wanted = {one[start:] for one in powers for start in range(len(one))}
    return sorted(wanted)


def _k_bins(tracer: Tracer, discretizer: Any, block: Block, path: str) -> Block:
    columns = numeric(tracer, block, path=path, exact=True)
    tracer.refuse(columns, missing_allowed=False)
    edges = [encoded(one[1:-1]) for one in discretizer.bin_edges_]
    binned = tracer.each(columns, "bins", of_column={"edges": edges}, may_miss=False)
    if discretizer.encode == "ordinal":
        return given_by(discretizer, binned, path=path)
    counted = [
        one if one.values is not None else Traced(one.slot, "float64", np.append(np.arange(count, dtype=float), np.nan))
        for one, count in zip(binned, discretizer.n_bins_, strict=True)
    ]
    encoder = discretizer._encoder
    safe = [np.zeros(1)] * len(counted)
    owners = in_order([len(one) for one in encoder.categories_])
    hot = probe(tracer, encoder, Block(tuple(counted), "array"), owners=owners, safe=safe, path=path)
    return given_by(discretizer, hot.columns, path=path, sparse=discretizer.encode == "onehot")


def _selector(tracer: Tracer, selector: Any, block: Block, path: str) -> Block:
    from sklearn.utils import get_tags

    if not get_tags(selector).input_tags.allow_nan:
        tracer.refuse([c for c in block.columns if c.dtype not in {"object", "category"}], missing_allowed=False)
    chosen: NDArray[np.bool_] = selector.get_support()
    kept = block.take(np.flatnonzero(chosen).tolist())
    if not kept.columns:
        raise Uncompilable(path, "it keeps no column")
    return given_by(selector, kept.columns, path=path, sparse=block.container == "sparse")


def _pca(tracer: Tracer, pca: Any, block: Block, path: str) -> Block:
    columns = numeric(tracer, block, path=path)
    tracer.refuse(columns, missing_allowed=False)
    moved = -(np.reshape(pca.mean_, (1, -1)) @ pca.components_.T)[0] if pca.mean_ is not None else 0.0
    slots = tracer.linear(tracer.places_of(columns), pca.components_, moved)
    if pca.whiten:
        scale = np.sqrt(pca.explained_variance_)
        slots = tracer.with_constant(slots, "divide", np.maximum(scale, np.finfo(scale.dtype).eps))
    return given_by(pca, _numbers(slots), path=path)


def _truncated_svd(tracer: Tracer, svd: Any, block: Block, path: str) -> Block:
    columns = numeric(tracer, block, path=path)
    tracer.refuse(columns, missing_allowed=False)
    return given_by(svd, _numbers(tracer.linear(tracer.places_of(columns), svd.components_, 0.0)), path=path)


def _numbers(slots: Sequence[int]) -> Columns:
    return [Traced(slot, may_miss=False, may_overflow=True) for slot in slots]


_SELECTORS = (
    *("VarianceThreshold", "SelectKBest", "SelectPercentile", "SelectFpr", "SelectFdr", "SelectFwe"),
    *("GenericUnivariateSelect", "SelectFromModel", "RFE", "RFECV", "SequentialFeatureSelector"),
)
NUMERIC: Mapping[str, Callable[[Tracer, Any, Block, str], Block]] = {
    "sklearn.StandardScaler": _standard_scaler,
    "sklearn.MinMaxScaler": _min_max_scaler,
    "sklearn.MaxAbsScaler": _max_abs_scaler,
    "sklearn.RobustScaler": _robust_scaler,
    "sklearn.SimpleImputer": _simple_imputer,
    "sklearn.MissingIndicator": _missing_indicator,
    "sklearn.Binarizer": _binarizer,
    "sklearn.Normalizer": _normalizer,
    "sklearn.PowerTransformer": _power_transformer,
    "sklearn.QuantileTransformer": _quantile_transformer,
    "sklearn.PolynomialFeatures": _polynomial,
    "sklearn.KBinsDiscretizer": _k_bins,
    "sklearn.PCA": _pca,
    "sklearn.TruncatedSVD": _truncated_svd,
    **{f"sklearn.{name}": _selector for name in _SELECTORS},
}
"""Steps on numbers, by library and class."""


def inverse_transform(tracer: Tracer, transformer: Any, columns: Sequence[Traced], path: str) -> Columns:
    """Return numbers as they were before a scaler, for a transformed target.

    Raises
    ------
    Uncompilable
        When the transformer is another than a scaler.
    """
    own = list(columns)
    name = type(transformer).__name__
    if name == "StandardScaler":
        own = _arithmetic(tracer, own, "multiply", transformer.scale_) if transformer.with_std else own
        return _arithmetic(tracer, own, "add", transformer.mean_) if transformer.with_mean else own
    if name == "MinMaxScaler":
        return _arithmetic(tracer, _arithmetic(tracer, own, "subtract", transformer.min_), "divide", transformer.scale_)
    raise Uncompilable(path, f"the inverse of {name} is not compiled")
