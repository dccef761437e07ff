"""What a person reads about a model that MLflow logged."""

from __future__ import annotations

from pathlib import Path

import pytest

from trueup.bundle.features import FeatureSpec
from trueup.bundle.package import BundleRef
from trueup.cli.adopting import describe_adopted
from trueup.cli.main import main
from trueup.loop.adopt import Adopted


def adopted(*, task: str, classes: tuple[str, ...], columns: int = 2) -> Adopted:
    """Return what packaging a model with so many numbers told."""
    features = tuple(FeatureSpec(f"x{place}", "number") for place in range(columns))
    return Adopted(
        bundle=BundleRef("0123456789abcdef", Path("/bundles/0123456789abcdef")),
        flavour="onnx",
        kind="OnnxModel",
        task=task,
        classes=classes,
        features=features,
        real_rows=30,
        requirements=("numpy==1.2.3 was asked for, and 2.4.6 is here",),
        notes=("proved on 30 rows",),
    )


def test_it_names_the_model_its_columns_its_answer_and_what_was_noticed() -> None:
    assert describe_adopted(adopted(task="binary", classes=("good", "bad"))) == [
        "Bundle 0123456789ab: OnnxModel from an MLflow model of flavour onnx",
        '  takes x0 (number), x1 (number); answers with the probability of "bad"',
        "  proved on 30 rows",
        "  [requirements] numpy==1.2.3 was asked for, and 2.4.6 is here",
    ]


@pytest.mark.parametrize(
    ("task", "classes", "said"),
    [("multiclass", ("a", "b", "c"), "the probability of each of 3 classes"), ("regression", (), "a number")],
)
def test_several_classes_and_numbers_are_said(task: str, classes: tuple[str, ...], said: str) -> None:
    assert describe_adopted(adopted(task=task, classes=classes))[1].endswith(f"answers with {said}")


def test_of_many_columns_the_first_are_named() -> None:
    assert "x7 (number) and 12 more;" in describe_adopted(adopted(task="regression", classes=(), columns=20))[1]


def test_a_folder_without_a_model_is_bad_input_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()

    assert main(["package", "--mlflow", "empty"]) == 2
    assert "there is no MLflow model in empty: no file MLmodel" in capsys.readouterr().err
    assert not (tmp_path / ".trueup" / "lake" / "bundles").exists()


def test_a_project_that_is_named_must_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", "--mlflow", str(tmp_path), str(tmp_path)]) == 2
    assert "trueup.toml" in capsys.readouterr().err
