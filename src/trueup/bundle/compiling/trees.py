"""How do ensembles of trees become stages that C libraries answer? One compiler for each library that grows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trueup.bundle.compiling.lightgbm_trees import compile_lightgbm
from trueup.bundle.compiling.parts import Column, Compiled, NotCompiled
from trueup.bundle.compiling.sklearn_boosting import compile_gradient_boosting, compile_hist_gradient_boosting
from trueup.bundle.compiling.sklearn_forests import compile_forest, compile_tree
from trueup.bundle.compiling.xgboost_trees import compile_xgboost

Compiler = Callable[[Any, tuple[Column, ...]], Compiled | NotCompiled]
_COMPILERS: dict[tuple[str, str], Compiler] = {
    ("sklearn", "HistGradientBoostingClassifier"): compile_hist_gradient_boosting,
    ("sklearn", "HistGradientBoostingRegressor"): compile_hist_gradient_boosting,
    ("sklearn", "GradientBoostingClassifier"): compile_gradient_boosting,
    ("sklearn", "GradientBoostingRegressor"): compile_gradient_boosting,
    ("sklearn", "RandomForestClassifier"): compile_forest,
    ("sklearn", "RandomForestRegressor"): compile_forest,
    ("sklearn", "ExtraTreesClassifier"): compile_forest,
    ("sklearn", "ExtraTreesRegressor"): compile_forest,
    ("sklearn", "DecisionTreeClassifier"): compile_tree,
    ("sklearn", "DecisionTreeRegressor"): compile_tree,
    ("sklearn", "ExtraTreeClassifier"): compile_tree,
    ("sklearn", "ExtraTreeRegressor"): compile_tree,
    ("lightgbm", "LGBMClassifier"): compile_lightgbm,
    ("lightgbm", "LGBMRegressor"): compile_lightgbm,
    ("lightgbm", "LGBMRanker"): compile_lightgbm,
    ("lightgbm", "Booster"): compile_lightgbm,
    ("xgboost", "XGBClassifier"): compile_xgboost,
    ("xgboost", "XGBRegressor"): compile_xgboost,
    ("xgboost", "XGBRanker"): compile_xgboost,
    ("xgboost", "XGBRFClassifier"): compile_xgboost,
    ("xgboost", "XGBRFRegressor"): compile_xgboost,
    ("xgboost", "Booster"): compile_xgboost,
}


def compile_trees(estimator: object, columns: tuple[Column, ...]) -> Compiled | NotCompiled:
    """Return a fitted ensemble of trees as stages, or why it has none.

    Parameters
    ----------
    estimator : object
        Fitted. A subclass is not compiled: it may answer otherwise than its parent.
    columns : tuple of Column
        What reaches it, in order.

    Notes
    -----
    Runs only inside the model's process. Answers equal the original's to 1e-12; where the original refuses a row (a
    missing or infinite number), the compiled trees answer NaN.
    """
    kind = type(estimator)
    compiler = _COMPILERS.get((kind.__module__.partition(".")[0], kind.__name__))
    if compiler is None:
        return NotCompiled(kind.__name__, "is no ensemble of trees that is written for a C library")
    return compiler(estimator, columns)
