"""What a model asks for and is not so here is said, line by line."""

from __future__ import annotations

import importlib.metadata

from trueup.bundle.requirements import requirement_differences


def test_a_version_that_is_here_is_no_difference() -> None:
    here = importlib.metadata.version("numpy")

    assert requirement_differences([f"numpy=={here}", "numpy", "mlflow==1.0"]) == ()


def test_another_version_and_an_absent_one_are_said() -> None:
    here = importlib.metadata.version("numpy")

    assert requirement_differences(["numpy==1.2.3", "no-such-distribution>=2"]) == (
        f"numpy==1.2.3 was asked for, and {here} is here",
        "no-such-distribution>=2 is absent",
    )


def test_a_line_for_another_python_counts_only_there() -> None:
    assert requirement_differences(['no-such-distribution; python_version < "3"']) == ()


def test_a_line_that_is_no_distribution_is_said_not_to_be_compared() -> None:
    assert requirement_differences(["-e ."]) == ('"-e ." was not compared',)
