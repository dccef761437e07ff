"""A pickle that names anything but values and estimators is refused, and nothing of it runs."""

from __future__ import annotations

import copyreg
import functools
import io
import operator
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.bundle.errors import ModelFailed, PickleRefused
from trueup.bundle.pickles import OwnCode, load_pickle, scan_pickle


class Calls:
    """Pickles as the call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def by_text(module: str, name: str, *arguments: Any) -> bytes:
    """Return a pickle of protocol 0 that calls a global by its name, also one that is not importable here."""
    body = pickle.dumps(arguments, protocol=0).removesuffix(b".")
    return f"c{module}\n{name}\n".encode() + body + b"R."


def by_stack(module: str, name: str, *arguments: Any) -> bytes:
    """Return a pickle of protocol 4 that names the global by two strings."""
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + texts + b"\x93" + pickle.dumps(arguments, protocol=2)[2:-1] + b"R."


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Give a path that a hostile pickle would write; afterwards it must not exist, and no child may have been made."""
    yield tmp_path / "canary"
    assert not (tmp_path / "canary").exists()
    assert Path(f"/proc/self/task/{os.getpid()}/children").read_text() == ""


@pytest.mark.parametrize("build", [by_text, by_stack])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("subprocess", "Popen"),
        ("subprocess", "check_output"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("builtins", "open"),
        ("__builtin__", "apply"),
        ("operator", "attrgetter"),
        ("operator", "methodcaller"),
        ("operator", "itemgetter"),
        ("functools", "reduce"),
        ("importlib", "import_module"),
        ("runpy", "run_path"),
        ("pickle", "loads"),
        ("marshal", "loads"),
        ("types", "FunctionType"),
        ("ctypes", "CDLL"),
        ("socket", "create_connection"),
        ("pty", "spawn"),
        ("webbrowser", "open"),
        ("numpy", "load"),
        ("numpy", "memmap"),
        ("numpy", "DataSource"),
        ("numpy", "save"),
        ("numpy", "fromfile"),
        ("numpy.lib.npyio", "DataSource"),
        ("numpy.lib.npyio", "NpzFile"),
        ("numpy.ctypeslib", "load_library"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy.f2py", "compile"),
        ("pandas", "read_pickle"),
        ("pandas", "ExcelWriter"),
        ("pandas", "HDFStore"),
        ("pandas", "eval"),
        ("pandas.io.common", "get_handle"),
        ("pandas.core.computation.expr", "Expr"),
        ("scipy.io", "loadmat"),
        ("scipy.stats._distn_infrastructure", "rv_continuous"),
        ("sklearn.externals.joblib", "load"),
        ("sklearn.datasets", "load_files"),
        ("sklearn.utils._testing", "os.system"),
        ("sklearn.utils.parallel", "Parallel"),
        ("joblib", "load"),
        ("joblib.memory", "Memory"),
        ("lightgbm.basic", "Dataset"),
        ("xgboost.core", "DMatrix"),
        ("xgboost.tracker", "RabitTracker"),
        ("torch", "load"),
        ("trueup.bundle.scoring", "ModelProcess"),
        ("trueup.build.runner", "ModelRunner"),
        ("trueup.lake.folder_store", "FolderStore"),
        ("sklearn.base", "os.system"),
        ("numpy", "ndarray.tofile"),
        ("cloudpickle.cloudpickle", "_make_function"),
        ("types", "CodeType"),
        ("site", "os.system"),
    ],
)
def test_a_global_that_no_model_needs_is_refused(
    build: Callable[..., bytes], module: str, name: str, canary: Path
) -> None:
    with pytest.raises((PickleRefused, ModelFailed)):
        load_pickle(build(module, name, f"touch {canary}"))


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_of_the_system_is_named_in_every_protocol(protocol: int, canary: Path) -> None:
    content = pickle.dumps(Calls(os.system, f"touch {canary}"), protocol=protocol)

    with pytest.raises(PickleRefused, match=r"posix\.system.*nothing of it was run") as caught:
        load_pickle(content)
    assert caught.value.facts == {"module": "posix", "name": "system"}


@pytest.mark.parametrize(
    "hidden",
    [
        lambda bomb: [1, {"deep": (bomb,)}],
        lambda bomb: functools.partial(bomb.call[0], *bomb.call[1]),
        lambda bomb: Calls(functools.partial, Calls(operator.attrgetter, "system")),
        lambda bomb: Calls(map, bomb.call[0], ["true"]),
        lambda bomb: np.array([bomb, None], dtype=object),
        lambda bomb: Calls(getattr, os, "system"),
    ],
)
def test_a_call_of_the_system_is_found_wherever_it_hides(hidden: Callable[[Calls], Any], canary: Path) -> None:
    content = io.BytesIO()
    pickler = pickle.Pickler(content)
    pickler.dispatch_table = {type(os): lambda module: (__import__, (module.__name__,))}
    pickler.dump(hidden(Calls(os.system, f"touch {canary}")))

    with pytest.raises(PickleRefused):
        load_pickle(content.getvalue())


def test_a_pickle_opens_no_connection_and_forks_nothing(canary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        for content in (
            pickle.dumps(Calls(socket.create_connection, server.getsockname())),
            by_text("posix", "fork"),
            by_stack("os", "fork"),
        ):
            with pytest.raises(PickleRefused):
                load_pickle(content)
        with pytest.raises(BlockingIOError):
            server.accept()


STACKED = b"\x8c\x05posix\x8c\x06system"


@pytest.mark.parametrize(
    "content",
    [
        # the two strings of STACK_GLOBAL are swapped in by the memo under an index that is stored twice
        (
            b"\x80\x04\x8c\x05numpy\x94\x8c\x05dtype\x94\x8c\x05posix\x8c\x06systemr\x01\x00\x00\x00"
            b"0h\x00h\x01\x930\x8c\x05posixh\x01\x93\x8c\x04true\x85R."
        ),
        # a number between them
        b"\x80\x04\x8c\x05posixK\x010\x8c\x06system\x93\x8c\x04true\x85R.",
        # doubled, and one dropped
        b"\x80\x04" + STACKED + b"20\x93\x8c\x04true\x85R.",
        # from a list that was built before
        b"\x80\x04]\x94" + STACKED + b"\x93\x8c\x04true\x85R.",
        # the name is bytes that are decoded while it is opened
        b"\x80\x04\x8c\x05posix\x8c\x07_codecs\x8c\x06encode\x93\x8c\x06system\x8c\x05ascii\x86R\x93\x8c\x04true\x85R.",
        # instances of old classes, and of new ones with keywords
        b"(S'true'\niposix\nsystem\n.",
        b"(cposix\nsystem\nS'true'\no.",
        b"\x80\x04" + STACKED + b"\x93\x8c\x04true\x85}\x92.",
        # a second pickle behind the first one is not opened; one inside is
        b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93.",
    ],
)
def test_games_with_stack_and_memo_are_refused(content: bytes, canary: Path) -> None:
    with pytest.raises(PickleRefused):
        load_pickle(content)


@pytest.mark.parametrize("content", [b"\x82\x01.", b"\x83\x01\x00.", b"Pname\n.", b"\x80\x04K\x01Q."])
def test_values_outside_the_pickle_are_refused(content: bytes) -> None:
    with pytest.raises(PickleRefused, match="outside itself"):
        load_pickle(content)


@pytest.mark.parametrize(
    "content", [b"", b".", b"no pickle", b"\x80\x04", b"\x80\x09N.", b"(", b"\x80\x04h\x05.", b"PK\x03\x04", b"R."]
)
def test_bytes_that_are_no_pickle_are_refused_as_that(content: bytes) -> None:
    with pytest.raises(PickleRefused, match="no whole pickle"):
        load_pickle(content)


@given(content=st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_refusal(content: bytes) -> None:
    try:
        scan_pickle(content)
    except (PickleRefused, ModelFailed):
        return


def test_an_archive_cut_anywhere_is_refused() -> None:
    from sklearn.linear_model import LogisticRegression

    content = pickle.dumps(LogisticRegression().fit([[0.0], [1.0]], [0, 1]))

    for end in range(len(content)):
        with pytest.raises(PickleRefused):
            load_pickle(content[:end])


def fitted() -> Iterator[Any]:
    """Yield fitted models of many kinds, as people train them."""
    from lightgbm import LGBMClassifier
    from sklearn import compose, ensemble, feature_selection, gaussian_process, linear_model, neighbors, pipeline
    from sklearn import preprocessing as prepare
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier
    from xgboost import XGBClassifier

    random = np.random.default_rng(0)
    rows = random.random((60, 3))
    outcome = (rows[:, 0] > 0.5).astype(int)
    models = [
        ensemble.HistGradientBoostingClassifier(max_iter=2),
        ensemble.RandomForestClassifier(n_estimators=2),
        ensemble.GradientBoostingClassifier(n_estimators=2),
        linear_model.SGDClassifier(loss="log_loss"),
        neighbors.KNeighborsClassifier(3, algorithm="kd_tree"),
        gaussian_process.GaussianProcessClassifier(),
        MLPClassifier((2,), solver="lbfgs", max_iter=200, tol=1e6),
        CalibratedClassifierCV(linear_model.LogisticRegression(), method="isotonic"),
        GridSearchCV(linear_model.LogisticRegression(), {"C": [1.0, 2.0]}),
        LGBMClassifier(n_estimators=2, verbose=-1),
        XGBClassifier(n_estimators=2),
        pipeline.make_pipeline(
            compose.ColumnTransformer([("log", prepare.FunctionTransformer(np.log1p), [0])], remainder="passthrough"),
            prepare.FunctionTransformer(np.nan_to_num),
            prepare.SplineTransformer(n_knots=3),
            prepare.QuantileTransformer(n_quantiles=5),
            feature_selection.SelectKBest(feature_selection.f_classif, k=2),
            linear_model.LogisticRegression(),
        ),
    ]
    for model in models:
        yield model.fit(rows, outcome)


def test_models_as_people_train_them_are_opened_and_score_the_same() -> None:
    rows = np.random.default_rng(1).random((10, 3))

    for model in fitted():
        for protocol in (2, 5):
            again = load_pickle(pickle.dumps(model, protocol=protocol))
            assert np.array_equal(
                again.predict_proba(rows) if hasattr(model, "predict_proba") else 0,
                model.predict_proba(rows) if hasattr(model, "predict_proba") else 0,
            )


OWN = """
import os
from os import system
from collections import OrderedDict
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
import msgspec
run = system


class Model(BaseEstimator):
    class Part:
        pass

    def clean(self, frame):
        return frame


def clean(frame):
    return frame
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnCode]:
    """Give the code of a project, importable as ``ownpipeline``."""
    (tmp_path / "ownpipeline.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield OwnCode(frozenset({"ownpipeline", "sklearn", "json"}), frozenset({"msgspec", "os", "joblib"}), tmp_path)
    sys.modules.pop("ownpipeline", None)


@pytest.mark.parametrize("name", ["Model", "Model.Part", "clean", "Model.clean", "LogisticRegression"])
def test_the_projects_own_classes_and_functions_are_allowed(project: OwnCode, name: str) -> None:
    content = b"\x80\x04\x8c\x0bownpipeline\x8c" + bytes([len(name)]) + name.encode() + b"\x93."

    assert load_pickle(content, own=project).__name__ == name.rpartition(".")[2]


@pytest.mark.parametrize(
    "name",
    [
        "system",
        "run",
        "os",
        "os.system",
        "clean.__globals__",
        "Model.__init__",
        "OrderedDict.fromkeys",
        "clean.__code__",
    ],
)
def test_what_the_projects_code_merely_imports_is_not(project: OwnCode, name: str, canary: Path) -> None:
    with pytest.raises(PickleRefused, match=r"ownpipeline\."):
        load_pickle(by_stack("ownpipeline", name, f"touch {canary}"), own=project)


def test_a_file_named_like_a_library_lends_its_name_to_nobody(project: OwnCode, canary: Path) -> None:
    for module, name in (("json", "codecs.open"), ("sklearn", "os.system")):
        with pytest.raises(PickleRefused):
            load_pickle(by_text(module, name, f"touch {canary}"), own=project)


def test_classes_of_a_library_that_the_code_imports_are_allowed_functions_are_not(project: OwnCode) -> None:
    import msgspec

    assert load_pickle(b"cmsgspec\nStruct\n.", own=project) is msgspec.Struct
    with pytest.raises(PickleRefused, match="it is a function"):
        load_pickle(b"cmsgspec\nconvert\n.", own=project)
    with pytest.raises(PickleRefused, match=r'does not import "msgspec"; import it in pipeline\.py'):
        load_pickle(b"cmsgspec\nStruct\n.")
    for module, name in ((b"os", b"_wrap_close"), (b"joblib.memory", b"Memory")):
        with pytest.raises(PickleRefused, match="could read, write or run"):
            load_pickle(b"c" + module + b"\n" + name + b"\n.", own=project)


def test_a_function_by_value_is_refused_with_what_to_do(tmp_path: Path) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")

    with pytest.raises(PickleRefused, match=r"by value, such as a lambda.*define the function in pipeline\.py"):
        load_pickle(cloudpickle.dumps({"func": lambda frame: frame}))


def test_a_class_of_a_notebook_is_refused_with_what_to_do() -> None:
    with pytest.raises(PickleRefused, match=r"script or notebook; define it in pipeline\.py"):
        load_pickle(b"c__main__\nModel\n.")


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelFailed, match='needs the module "no_such_module"'):
        load_pickle(b"cno_such_module\nModel\n.")


def test_a_distribution_whose_state_is_executed_is_refused(canary: Path) -> None:
    """scipy's `rv_generic.__setstate__` executes `_parse_arg_template`: an open door behind a class of values."""
    from scipy import stats

    state = stats.norm.__getstate__() | {"_parse_arg_template": f"open({str(canary)!r}, 'w')"}
    content = pickle.dumps(_Restored(stats._continuous_distns.norm_gen, state))

    with pytest.raises(PickleRefused, match=r"scipy\.stats"):
        load_pickle(content)
    opened = subprocess.run(
        [sys.executable, "-c", "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"],
        input=content,
        check=False,
        capture_output=True,
    )
    assert canary.exists(), opened.stderr
    canary.unlink()


class _Restored:
    def __init__(self, kind: type, state: dict[str, Any]) -> None:
        self._kind, self._state = kind, state

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg._reconstructor, (self._kind, object, None), self._state  # type: ignore[attr-defined]  # private
