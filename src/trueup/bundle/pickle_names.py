"""Which names may the pickle of a model refer to? Classes that hold values, and functions that only compute.

Left out on purpose, though models could hold them: what reads or writes files (``numpy.memmap``, ``pandas.io``,
``sklearn.datasets``), what evaluates text (``pandas.core.computation``; the distributions of ``scipy.stats``, which
execute a text of their own state when opened), what reaches other names (``operator.attrgetter``, ``getattr``).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

_PLAIN_TYPES = (
    *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "range", "set"),
    *("slice", "str", "tuple"),
)
_STANDARD = {
    "builtins": _PLAIN_TYPES,
    "__builtin__": (*_PLAIN_TYPES, "long", "unicode", "xrange"),
    "collections": ("Counter", "OrderedDict", "defaultdict", "deque"),
    "copyreg": ("_reconstructor",),
    "copy_reg": ("_reconstructor",),
    "_codecs": ("encode",),
    "functools": ("partial",),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "uuid": ("UUID",),
    "types": ("SimpleNamespace",),
}
_TRUEUP = ("trueup.build.rungs", "trueup.build.calibration", "trueup.build.shipping", "trueup.bundle.native_models")
"""The modules of ours whose estimators are shipped."""
_ROOMS = (
    *("sklearn", "numpy._core", "numpy.core", "numpy.ma", "numpy.random", "numpy.dtypes", "numpy.polynomial"),
    *("pandas._libs", "pandas.arrays", "pandas.core.arrays", "pandas.core.dtypes", "pandas.core.frame"),
    *("pandas.core.indexes", "pandas.core.internals", "pandas.core.series", "pandas.tseries"),
    *("scipy.sparse", "scipy.interpolate", "scipy.spatial", "scipy.special", "scipy._lib.array_api_compat"),
    *("lightgbm.basic", "lightgbm.sklearn", "xgboost.core", "xgboost.sklearn"),
)
_CLOSED = (
    *("sklearn.datasets", "sklearn.externals", "sklearn.conftest", "sklearn.utils._testing", "sklearn.utils._joblib"),
    *("sklearn.utils.parallel", "sklearn.utils.estimator_checks", "numpy._core.tests", "scipy.sparse.linalg"),
)
_TOP_NAMES = {
    "numpy": re.compile(
        r"(?!memmap|DataSource|vectorize)[a-z_0-9]+|RandomState|Generator"  # scalar types, arrays, ufuncs
    ),
    "pandas": re.compile(
        r"DataFrame|Series|(Range|Multi|Datetime|Timedelta|Period|Interval|Categorical)?Index|Categorical|Timestamp|"
        r"Timedelta|Period|Interval|(Categorical|Interval|String|DatetimeTZ|Period|Sparse|Arrow|Boolean|"
        r"U?Int\d+|Float\d+)Dtype"
    ),
    "lightgbm": re.compile(r"Booster"),
    "xgboost": re.compile(r"Booster"),
    "pyarrow.lib": re.compile(r"_restore_array|py_buffer|type_for_alias"),
}
_CLASSES_THAT_READ = (("lightgbm.basic", "Dataset"), ("lightgbm.basic", "Sequence"))
_XGBOOST_CORE = ("Booster",)
_REBUILDS = re.compile(
    r"_reconstruct|_mareconstruct|scalar|_frombuffer|_?_?\w+_ctor|__pyx_unpickle_\w+|_unpickle_\w+|_new_\w+|newObj"
)
"""Functions by which libraries rebuild their own values."""
_PURE = {
    "numpy": ("abs", "around", "asarray", "clip", "nan_to_num", "round"),
    "pyarrow.lib": ("_restore_array", "py_buffer", "type_for_alias"),
    "sklearn.utils.validation": ("check_array",),
    "sklearn.utils._encode": ("_unique",),
}
_PURE_ROOMS = (
    *("sklearn.feature_selection", "sklearn.metrics", "sklearn.preprocessing._data", "scipy.special"),
    "scipy._lib.array_api_compat",
)
NEVER_TRUSTED = frozenset({"cloudpickle", "dill", "joblib", "mlflow", "skops", "trueup", "torch"})
"""Libraries whose classes open files or pickles of their own; importing them in a pipeline does not list them."""


def is_standard(module: str, name: str) -> bool:
    """Return whether a name of Python's own library is one that holds values."""
    return name in _STANDARD.get(module, ())


def is_ours(module: str) -> bool:
    """Return whether a module of Trueup holds estimators that are shipped."""
    return module in _TRUEUP


def is_listed(module: str, name: str) -> bool:
    """Return whether a library's name may be looked up at all; `is_harmless` then looks at what it is."""
    if module in _TOP_NAMES:
        return bool(_TOP_NAMES[module].fullmatch(name))
    if (module, name) in _CLASSES_THAT_READ or is_in(module, _CLOSED) or ".tests" in module:
        return False
    if module == "xgboost.core":
        return name in _XGBOOST_CORE
    return is_in(module, _ROOMS)


def is_harmless(name: str, value: Any) -> bool:
    """Return whether what a listed name stands for is a class that is defined there, or a function that computes."""
    import numpy as np

    if isinstance(value, np.ufunc):
        return True
    defined = str(getattr(value, "__module__", None) or "numpy")
    if isinstance(value, type):
        return is_listed(defined, value.__name__)
    if not callable(value) or not is_in(defined, (*_ROOMS, *_TOP_NAMES)):
        return False
    return bool(_REBUILDS.fullmatch(name)) or name in _PURE.get(defined, ()) or is_in(defined, _PURE_ROOMS)


def is_in(module: str, packages: Collection[str]) -> bool:
    """Return whether `module` is one of `packages` or lies in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)
