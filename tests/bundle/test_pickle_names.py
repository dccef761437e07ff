"""The list of names holds what models are made of, and nothing that opens files."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest

from trueup.bundle.pickle_names import is_harmless, is_listed, is_ours, is_standard


@pytest.mark.parametrize("name", ["DataFrame", "Index", "RangeIndex", "CategoricalDtype", "Int64Dtype", "Timestamp"])
def test_values_of_pandas_are_listed(name: str) -> None:
    assert is_listed("pandas", name)


@pytest.mark.parametrize("name", ["ExcelFile", "HDFStore", "read_csv", "eval", "io", "DataFrame.to_pickle"])
def test_files_of_pandas_are_not(name: str) -> None:
    assert not is_listed("pandas", name)


def test_every_class_of_values_stands_where_it_is_defined() -> None:
    for module, name in (
        ("numpy", "ndarray"),
        ("numpy", "float64"),
        ("pandas", "Series"),
        ("sklearn.tree._tree", "Tree"),
        ("lightgbm.basic", "Booster"),
        ("xgboost.core", "Booster"),
        ("scipy.sparse", "csr_matrix"),
    ):
        assert is_listed(module, name)
        assert is_harmless(name, getattr(importlib.import_module(module), name))


def test_functions_of_numpy_are_harmless_only_where_they_compute() -> None:
    assert is_harmless("log1p", np.log1p)
    assert is_harmless("nan_to_num", np.nan_to_num)
    assert not is_harmless("load", np.load)
    assert not is_harmless("save", np.save)
    assert not is_harmless("frompyfunc", np.frompyfunc)
    assert not is_harmless("memmap", np.memmap)
    assert not is_harmless("open", open)


def test_no_listed_function_of_scikit_learns_metrics_touches_a_file_or_a_process() -> None:
    """The rooms of pure functions are trusted whole, so their source is looked at."""
    for room in ("sklearn.metrics", "sklearn.feature_selection", "sklearn.preprocessing._data"):
        module = importlib.import_module(room)
        parts = [module, *(value for _, value in inspect.getmembers(module, inspect.ismodule))]
        for part in (part for part in parts if part.__name__.startswith(room) and str(part.__file__).endswith(".py")):
            source = Path(str(part.__file__)).read_text(encoding="utf-8")
            assert not any(
                word in source for word in ("open(", "subprocess", "os.system", " exec(", " eval(", "pickle")
            )


def test_of_python_only_types_of_values_are_listed() -> None:
    assert is_standard("builtins", "dict")
    assert is_standard("collections", "OrderedDict")
    for module, name in (
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("builtins", "type"),
        ("operator", "itemgetter"),
    ):
        assert not is_standard(module, name)


def test_of_our_own_modules_only_those_with_estimators_are_listed() -> None:
    assert is_ours("trueup.build.rungs")
    assert not is_ours("trueup.bundle.scoring")
    assert not is_listed("trueup.bundle.scoring", "ModelProcess")
