"""A stage names its file by content, and says which columns must be rewritten before LightGBM sees them."""

from __future__ import annotations

import numpy as np
import pytest

from trueup.bundle.compiling.lightgbm_text import Ensemble
from trueup.bundle.compiling.parts import Column, Compiled, NotCompiled
from trueup.bundle.compiling.tree_columns import compiled_ensemble
from trueup.bundle.compiling.tree_nodes import LEAF, Nodes


def stump(threshold: float, *, value: float = 1.0) -> Nodes:
    return Nodes(
        left=np.array([1, LEAF, LEAF]),
        right=np.array([2, LEAF, LEAF]),
        feature=np.array([3, 0, 0]),
        threshold=np.array([threshold, 0.0, 0.0]),
        missing_left=np.zeros(3, dtype=bool),
        value=np.array([0.0, value, 2.0]),
        weight=np.ones(3),
    )


def compiled(threshold: float, *, value: float = 1.0) -> Compiled:
    made = compiled_ensemble(Ensemble([stump(threshold, value=value)], inputs=4), "Model")
    assert isinstance(made, Compiled)
    return made


def test_an_answer_has_a_column_for_each_number() -> None:
    assert compiled(0.5).columns == (Column("answer_0"),)


def test_two_models_never_share_a_file_name_and_equal_ones_do() -> None:
    names = [next(iter(compiled(0.5, value=value).files)) for value in (1.0, 1.0, 1.5)]
    assert names[0] == names[1] != names[2]


def test_only_a_column_split_at_zero_is_rewritten() -> None:
    assert "recoding" not in compiled(0.5).stages[0]
    assert compiled(0.0).stages[0]["recoding"] == {"near_zero": [3], "zero_up_to": 0.0}


@pytest.mark.parametrize("threshold", [5e-324, -5e-324, 1e-40, -1e-35, 2e-35])
def test_a_split_too_close_to_zero_is_a_reason_to_stay(threshold: float) -> None:
    kept = compiled_ensemble(Ensemble([stump(threshold)], inputs=4), "Model")
    assert isinstance(kept, NotCompiled)
    assert "2e-35" in kept.reason
