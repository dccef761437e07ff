"""What an MLflow folder says is read without running anything, and a bad one is refused with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from trueup.bundle.mlflow_reading import (
    LoggedColumn,
    MlflowUnreadable,
    MlflowUnsupported,
    find_model_folder,
    read_logged_model,
)

SKLEARN = {"pickled_model": "model.pkl", "serialization_format": "cloudpickle", "code": None}


def write_model(folder: Path, *, flavours: dict[str, Any] | None = None, **more: Any) -> Path:
    """Write a folder as MLflow does; the model's file holds no model."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"flavors": {"python_function": {}, "sklearn": SKLEARN} if flavours is None else flavours, **more}
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    for name in ("model.pkl", "model.lgb", "model.onnx", "model.skops"):
        (folder / name).write_bytes(b"not opened")
    return folder


def signed(*inputs: dict[str, Any]) -> dict[str, Any]:
    """Return a signature as MLflow writes it."""
    return {"inputs": json.dumps(list(inputs)), "outputs": None, "params": None}


@pytest.mark.parametrize(
    ("flavours", "flavour", "form", "file"),
    [
        ({"sklearn": SKLEARN}, "sklearn", "pickle", "model.pkl"),
        ({"sklearn": {"pickled_model": "model.pkl"}}, "sklearn", "pickle", "model.pkl"),
        (
            {"sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"}},
            "sklearn",
            "skops",
            "model.skops",
        ),
        ({"lightgbm": {"data": "model.lgb"}}, "lightgbm", "lightgbm", "model.lgb"),
        (
            {"lightgbm": {"data": "model.pkl", "model_class": "lightgbm.sklearn.LGBMClassifier"}},
            "lightgbm",
            "pickle",
            "model.pkl",
        ),
        ({"onnx": {"data": "model.onnx"}, "python_function": {}}, "onnx", "onnx", "model.onnx"),
    ],
)
def test_flavour_and_serialization_say_how_the_file_is_opened(
    tmp_path: Path, flavours: dict[str, Any], flavour: str, form: str, file: str
) -> None:
    read = read_logged_model(write_model(tmp_path, flavours=flavours))

    assert (read.flavour, read.form, read.file.name) == (flavour, form, file)


def test_columns_and_types_come_from_the_signature(tmp_path: Path) -> None:
    signature = signed(
        {"type": "double", "name": "amount", "required": True},
        {"type": "string", "name": "broker", "required": False},
        {"type": "long", "name": "count", "optional": True},
        {"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float32", "shape": [-1, 1]}},
    )

    read = read_logged_model(write_model(tmp_path, signature=signature))

    assert read.columns == (
        LoggedColumn("amount", "double"),
        LoggedColumn("broker", "string", required=False),
        LoggedColumn("count", "long", required=False),
        LoggedColumn("x", "float"),
    )
    assert not read.unnamed


def test_an_array_becomes_as_many_columns_without_names(tmp_path: Path) -> None:
    signature = signed({"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}})

    read = read_logged_model(write_model(tmp_path, signature=signature))

    assert read.columns == (LoggedColumn("x0", "double"), LoggedColumn("x1", "double"))
    assert read.unnamed


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "binary", "name": "picture"},
        {"type": "array", "name": "list", "items": {"type": "double"}},
        {"type": "any", "name": "what"},
        {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 28, 28]}},
        {"type": "tensor", "tensor-spec": {"dtype": "complex64", "shape": [-1, 2]}},
        {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, -1]}},
    ],
)
def test_an_input_that_is_no_column_of_a_table_is_refused(tmp_path: Path, declared: dict[str, Any]) -> None:
    with pytest.raises(MlflowUnsupported):
        read_logged_model(write_model(tmp_path, signature=signed(declared)))


def test_the_example_becomes_rows_in_which_nan_is_missing(tmp_path: Path) -> None:
    folder = write_model(
        tmp_path, saved_input_example_info={"artifact_path": "e.json", "type": "dataframe", "pandas_orient": "split"}
    )
    (folder / "e.json").write_text('{"columns": ["a", "b"], "data": [[1, "x"], [NaN, null]]}')

    assert read_logged_model(folder).example == ({"a": 1, "b": "x"}, {"a": None, "b": None})


@pytest.mark.parametrize("content", ['{"inputs": [[1.0, 2.0]]}', "[[1.0, 2.0]]"])
def test_an_array_as_example_takes_the_signatures_order(tmp_path: Path, content: str) -> None:
    folder = write_model(
        tmp_path,
        signature=signed({"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}),
        saved_input_example_info={"artifact_path": "e.json", "type": "ndarray"},
    )
    (folder / "e.json").write_text(content)

    assert read_logged_model(folder).example == ({"x0": 1.0, "x1": 2.0},)


def test_an_example_that_does_not_fit_is_left_out_and_said(tmp_path: Path) -> None:
    folder = write_model(tmp_path, saved_input_example_info={"artifact_path": "e.json", "type": "json_object"})
    (folder / "e.json").write_text('{"prompt": "x"}')

    read = read_logged_model(folder)

    assert read.example == ()
    assert read.notes == ('the input example of type "json_object" was not used; a data frame or an array is',)


def test_code_and_requirements_are_read(tmp_path: Path) -> None:
    folder = write_model(tmp_path, flavours={"sklearn": {**SKLEARN, "code": "code"}})
    (folder / "code" / "parts").mkdir(parents=True)
    (folder / "code" / "parts" / "more.py").write_text("X = 1\n")
    (folder / "code" / "data.bin").write_bytes(b"")
    (folder / "requirements.txt").write_text("# made by hand\nnumpy==1.0\n\nscikit-learn\n")

    read = read_logged_model(folder)

    assert read.code == {"parts/more.py": b"X = 1\n"}
    assert read.requirements == ("numpy==1.0", "scikit-learn")


def test_the_only_model_of_a_runs_artifacts_is_found(tmp_path: Path) -> None:
    model = write_model(tmp_path / "1" / "run" / "artifacts" / "model")

    assert find_model_folder(tmp_path) == model


def test_of_two_models_one_must_be_named(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_model(tmp_path / name)

    with pytest.raises(MlflowUnreadable, match="holds 2 MLflow models; name one of them: first, second"):
        find_model_folder(tmp_path)


@pytest.mark.parametrize("named", ["../outside.pkl", "/etc/passwd", None, 3, ".", "a\0b"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, named: object) -> None:
    (tmp_path / "outside.pkl").write_bytes(b"")
    folder = write_model(tmp_path / "model", flavours={"sklearn": {**SKLEARN, "pickled_model": named}})

    with pytest.raises(MlflowUnreadable, match="inside its folder"):
        read_logged_model(folder)


@pytest.mark.parametrize("strange", ["a: !!bool x", "a: !!timestamp x", "metadata: 5"])
def test_an_mlmodel_with_values_of_strange_types_is_no_fault(tmp_path: Path, strange: str) -> None:
    folder = write_model(tmp_path / "model")
    with (folder / "MLmodel").open("a") as file:
        file.write(f"\n{strange}\n")

    if strange.startswith("metadata"):
        assert read_logged_model(folder).flavour == "sklearn"
        return
    with pytest.raises(MlflowUnreadable, match="cannot be read"):
        read_logged_model(folder)


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (tmp_path / "outside.pkl").write_bytes(b"")
    (folder / "model.pkl").unlink()
    (folder / "model.pkl").symlink_to(tmp_path / "outside.pkl")

    with pytest.raises(MlflowUnreadable, match="inside its folder"):
        read_logged_model(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("flavors: [", "not in its format"),
        ("[1, 2]", "names no flavors"),
        ("flavors: 3", "names no flavors"),
        ("flavors: !!python/object/apply:os.system ['false']", "not in its format"),
    ],
)
def test_a_description_that_cannot_be_read_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "MLmodel").write_text(content)

    with pytest.raises(MlflowUnreadable, match=message):
        read_logged_model(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    (folder / "model.pkl").unlink()

    with pytest.raises(MlflowUnreadable, match=r"model\.pkl is missing"):
        read_logged_model(folder)


def test_no_model_at_all_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(MlflowUnreadable, match="downloaded first: mlflow artifacts download"):
        read_logged_model(tmp_path)


@pytest.mark.parametrize("flavours", [{"python_function": {}}, {"pytorch": {}, "python_function": {}}])
def test_other_flavours_are_refused_with_those_that_work(tmp_path: Path, flavours: dict[str, Any]) -> None:
    with pytest.raises(MlflowUnsupported, match="lightgbm, onnx, sklearn can become a bundle"):
        read_logged_model(write_model(tmp_path, flavours=flavours))


def test_the_model_of_a_bundle_is_not_packaged_twice(tmp_path: Path) -> None:
    with pytest.raises(MlflowUnsupported, match="is the model of a Trueup bundle already"):
        read_logged_model(write_model(tmp_path, metadata={"trueup": {}}))
