"""A skops file is opened with the names a pickle may refer to, whatever else it asks to be trusted with."""

from __future__ import annotations

import os

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from trueup.bundle.errors import ModelFailed, PickleRefused
from trueup.bundle.skops_files import load_skops

ROWS = np.random.default_rng(4).random((60, 2))


def test_a_pipeline_answers_as_before() -> None:
    fitted = make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression())
    fitted.fit(np.abs(ROWS), ROWS[:, 0] > 0.5)

    opened = load_skops(skops.io.dumps(fitted))

    assert np.array_equal(opened.predict_proba(ROWS), fitted.predict_proba(ROWS))


def test_a_function_that_runs_programs_is_refused_by_name() -> None:
    content = skops.io.dumps(FunctionTransformer(os.system))

    with pytest.raises(PickleRefused, match=r"refers to (posix|os)\.system.*nothing of it was built"):
        load_skops(content)


def test_bytes_that_are_no_skops_file_are_refused() -> None:
    with pytest.raises(ModelFailed, match="no whole skops file"):
        load_skops(b"PK no zip")
