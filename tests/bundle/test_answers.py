"""What another process says is read strictly, and never believed to be more than it is."""

from __future__ import annotations

import pytest

from trueup.bundle.answers import error_from, read_answer
from trueup.bundle.errors import BundleError, ModelFailed, PickleRefused


def test_an_error_comes_back_as_its_class_with_its_facts() -> None:
    told = {"code": "bundle.pickle-refused", "message": "no", "facts": {"name": "os.system", "message": "x", "self": 1}}

    error = error_from(told, [ModelFailed, PickleRefused])

    assert type(error) is PickleRefused
    assert (error.message, error.facts) == ("no", {"name": "os.system"})


def test_an_error_of_another_kind_is_one_of_the_room() -> None:
    assert type(error_from({"code": "x", "message": "no", "facts": {}}, [ModelFailed])) is BundleError


@pytest.mark.parametrize("told", [None, 5, [], {}, {"code": 1, "message": "no", "facts": {}}, {"code": "x"}])
def test_an_error_of_the_wrong_shape_is_a_model_that_failed(told: object) -> None:
    with pytest.raises(ModelFailed, match="answered with something else than was asked for"):
        error_from(told, [])


def test_the_message_about_a_wrong_shape_repeats_no_value() -> None:
    with pytest.raises(ModelFailed) as refused:
        read_answer({"private": "secret"}, dict[str, int])

    assert "secret" not in refused.value.message
