"""A model made elsewhere is looked at in a process that confined itself; what is wrong with it is said."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression

from trueup.bundle.errors import ModelFailed, PickleRefused
from trueup.bundle.examining import Examined, examine
from trueup.bundle.mlflow_reading import MlflowUnsupported
from trueup.bundle.native_models import LightGBMModel
from trueup.bundle.sandbox import Limits
from trueup.bundle.wire import send

FRAME = pd.DataFrame(np.random.default_rng(4).random((90, 2)), columns=["a", "b"])


def looked_at(content: bytes, form: str = "pickle", *, classes: Sequence[str] | None = None) -> Examined:
    """Return what a file holds."""
    return examine(content, form, names=None, classes=classes, code={})


def _message(head: dict[str, Any]) -> bytes:
    pipe = io.BytesIO()
    send(pipe, head)
    return pipe.getvalue()


def test_a_model_in_the_projects_order_is_shipped_byte_for_byte() -> None:
    content = pickle.dumps(LogisticRegression().fit(FRAME, np.where(FRAME["a"] > 0.5, "yes", "no")))

    found = looked_at(content, classes=("no", "yes"))

    assert found.content == content
    assert (found.kind, found.task, found.labels) == ("LogisticRegression", "binary", ("no", "yes"))
    assert (found.names, found.width, found.native) == (("a", "b"), 2, False)


def test_classes_in_another_order_are_put_into_the_projects() -> None:
    fitted = LogisticRegression().fit(FRAME, np.where(FRAME["a"] > 0.5, "bad", "good"))

    found = looked_at(pickle.dumps(fitted), classes=("good", "bad"))

    assert found.labels == ("good", "bad")
    given: Any = pickle.loads(found.content)
    assert np.array_equal(given.predict_proba(FRAME), fitted.predict_proba(FRAME)[:, ::-1])


def test_lightgbms_estimator_is_kept_as_its_own_text_up_to_its_best_round() -> None:
    fitted = LGBMClassifier(n_estimators=9, verbose=-1).fit(FRAME, FRAME["a"] > 0.5)
    fitted._best_iteration = 4
    fitted.booster_.best_iteration = 4

    found = looked_at(pickle.dumps(fitted))

    given: Any = pickle.loads(found.content)
    assert isinstance(given, LightGBMModel)
    assert given.booster.num_trees() == 4
    assert np.array_equal(given.predict_proba(FRAME), fitted.predict_proba(FRAME))


@pytest.mark.parametrize(
    ("content", "form", "kind", "message"),
    [
        (b"no pickle", "pickle", PickleRefused, "no whole pickle"),
        (b"cposix\nsystem\n.", "pickle", PickleRefused, r"posix\.system"),
        (b"cno_such_module\nModel\n.", "pickle", ModelFailed, '"no_such_module"'),
        (b"no text", "lightgbm", ModelFailed, "cannot be opened here"),
        (pickle.dumps({"a": 1}), "pickle", MlflowUnsupported, "is a dict, which has neither predict_proba nor predict"),
    ],
)
def test_what_cannot_become_a_bundle_is_refused_with_the_reason(
    content: bytes, form: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        looked_at(content, form)


def test_one_class_is_nothing_to_tell_apart() -> None:
    fitted = LogisticRegression().fit(FRAME, FRAME["a"] > 0.5)
    fitted.classes_ = np.array([True])

    with pytest.raises(MlflowUnsupported, match="knows 1 class, so there is nothing to tell apart"):
        looked_at(pickle.dumps(fitted))


def test_a_model_whose_code_only_waits_is_ended() -> None:
    code = {"slow.py": b"import threading\nthreading.Event().wait()\n\nclass Model:\n    pass\n"}

    with pytest.raises(ModelFailed, match="gave no answer within 5 s"):
        examine(b"cslow\nModel\n.", "pickle", names=None, classes=None, code=code, limits=Limits(seconds=5))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"no message, and it is long enough to be read as one", "gave no answer and ended with signal 9"),
        (b"", "gave no answer and ended with signal 9"),
        (_message({}), "something else than was asked for"),
        (_message({"error": {}}), "something else than was asked for"),
        (_message({"error": 5}), "something else than was asked for"),
    ],
)
def test_a_model_that_answers_in_our_place_and_then_waits_is_refused(answer: bytes, message: str) -> None:
    code = {
        "rude.py": b"import os, threading\n"
        b"for place in range(3, 20):\n"
        b"    try:\n"
        b"        os.write(place, %r)\n"
        b"        os.close(place)\n"
        b"    except OSError:\n"
        b"        continue\n"
        b"threading.Event().wait()\n" % answer
    }

    with pytest.raises(ModelFailed, match=message):
        examine(b"crude\nModel\n.", "pickle", names=None, classes=None, code=code)
