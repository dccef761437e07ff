from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.build.conftest import CHECK_LINE, FEATURES, write_cases

from trueup.build.errors import (
    BuildError,
    ColumnMissing,
    LabelConstant,
    ModelUnreadable,
    NoProbabilities,
    NotAnEstimator,
    NoTrainingRows,
    OutOfMemory,
    PipelineFailed,
    PipelineNotFound,
    RunnerDied,
    ScoresUnusable,
    ScratchUnusable,
)
from trueup.build.recipe import Feature, Recipe, TrainingRows
from trueup.build.runner import ModelRunner, code_digest

Open = Callable[..., ModelRunner]
BOOSTING = Recipe("gradient_boosting", "binary", FEATURES, params=(("max_iter", 20),))
PIPELINE = Recipe("pipeline", "binary", FEATURES, pipeline="pipeline:make")
NUMBERS = replace(PIPELINE, features=(Feature("amount", "number"), Feature("new", "boolean")))
LOGISTIC = """
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

def make():
    return make_pipeline(SimpleImputer(), LogisticRegression())
"""
InOrder = Callable[..., float]


def test_a_fit_learns_what_decides_the_outcome(
    cases: TrainingRows, runner: ModelRunner, tmp_path: Path, in_order: InOrder
) -> None:
    later = write_cases(tmp_path / "later.parquet", seed=4)
    scores = runner.predict(runner.fit(BOOSTING, cases), tmp_path / "later.parquet", 0, 600)
    assert scores.shape == (600,)
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()
    assert in_order(later, scores) > 0.8


def test_fits_in_two_processes_give_the_same_bytes_of_scores(cases: TrainingRows, open_runner: Open) -> None:
    seen = []
    for scratch in ("one", "two"):
        runner = open_runner(scratch)
        for recipe in (BOOSTING, replace(BOOSTING, kind="lightgbm", params=()), Recipe("linear", "binary", FEATURES)):
            model = runner.fit(replace(recipe, calibrate=True), cases)
            seen.append((model.digest, runner.predict(model, cases.features_path, 0, 600).tobytes()))
    assert seen[:3] == seen[3:]


def test_a_repeated_fit_starts_no_process(cases: TrainingRows, open_runner: Open) -> None:
    first = open_runner().fit(BOOSTING, cases)
    other = open_runner()
    assert other.fit(BOOSTING, cases) == first
    assert other.process_id is None


@pytest.mark.parametrize("change", ["rows", "outcome", "weight", "params", "file"])
def test_a_fit_is_named_by_everything_that_makes_it(cases: TrainingRows, runner: ModelRunner, change: str) -> None:
    constant = Recipe("constant", "binary", FEATURES)
    before = runner.fit(constant, cases)
    changed, recipe = cases, constant
    if change == "rows":
        changed = replace(cases, rows=cases.rows[1:], outcome=cases.outcome[1:])
    elif change == "outcome":
        changed = replace(cases, outcome=1 - cases.outcome)
    elif change == "weight":
        changed = replace(cases, weight=np.ones(600))
    elif change == "params":
        recipe = replace(constant, seed=1)
    else:
        write_cases(cases.features_path, seed=5)
    assert runner.fit(recipe, changed).digest != before.digest


def test_scores_do_not_depend_on_how_rows_are_asked_for(cases: TrainingRows, runner: ModelRunner) -> None:
    model = runner.fit(BOOSTING, cases)
    whole = runner.predict(model, cases.features_path, 0, 600)
    parts = [runner.predict(model, cases.features_path, first, first + 150) for first in range(0, 600, 150)]
    assert (np.concatenate(parts) == whole).all()
    some = np.array([599, 3, 3, 77], dtype=np.int64)
    assert (runner.predict_rows(model, cases.features_path, some) == whole[some]).all()


def test_no_rows_give_no_scores(cases: TrainingRows, runner: ModelRunner) -> None:
    assert runner.predict(runner.fit(BOOSTING, cases), cases.features_path, 10, 10).shape == (0,)


def test_a_category_unseen_in_training_scores_like_a_missing_one(
    cases: TrainingRows, runner: ModelRunner, tmp_path: Path
) -> None:
    table = pq.read_table(cases.features_path)
    for name, value in (("unseen", "fax"), ("missing", None)):
        at = table.column_names.index("channel")
        changed = table.set_column(at, "channel", pa.array([value] * 600, pa.string()))
        pq.write_table(changed, tmp_path / f"{name}.parquet")
    for kind in ("gradient_boosting", "lightgbm", "linear"):
        model = runner.fit(Recipe(kind, "binary", FEATURES), cases)
        unseen, missing = (runner.predict(model, tmp_path / f"{n}.parquet", 0, 600) for n in ("unseen", "missing"))
        assert (unseen == missing).all()


def test_a_missing_column_is_named(cases: TrainingRows, runner: ModelRunner) -> None:
    recipe = Recipe("linear", "binary", (Feature("amont", "number"),))
    with pytest.raises(ColumnMissing, match=r'"amont".*did you mean "amount"'):
        runner.fit(recipe, cases)


@pytest.mark.parametrize("kind", ["gradient_boosting", "lightgbm", "linear"])
def test_a_constant_label_is_refused_with_its_value(cases: TrainingRows, runner: ModelRunner, kind: str) -> None:
    with pytest.raises(LabelConstant, match="600 training rows have the outcome 0"):
        runner.fit(Recipe(kind, "binary", FEATURES), replace(cases, outcome=np.zeros(600)))


def test_no_rows_to_learn_from_is_refused(cases: TrainingRows, runner: ModelRunner) -> None:
    with pytest.raises(NoTrainingRows):
        runner.fit(BOOSTING, replace(cases, rows=cases.rows[:0], outcome=cases.outcome[:0]))


def test_the_projects_pipeline_is_fitted(cases: TrainingRows, runner: ModelRunner, in_order: InOrder) -> None:
    model = runner.fit(NUMBERS, cases)
    assert in_order(cases.outcome, runner.predict(model, cases.features_path, 0, 600)) > 0.7


def test_a_pipeline_is_called_with_what_its_parameters_name(cases: TrainingRows, runner: ModelRunner) -> None:
    runner.fit(replace(NUMBERS, pipeline="pipeline:named", seed=7), cases)
    with pytest.raises(PipelineFailed, match=r"AssertionError at pipeline\.py"):
        runner.fit(replace(NUMBERS, pipeline="pipeline:named", seed=8), cases)


def test_another_process_opens_a_model_with_classes_of_the_project(
    cases: TrainingRows, runner: ModelRunner, shared_project: Path, tmp_path: Path
) -> None:
    model = runner.fit(replace(PIPELINE, pipeline="pipeline:Coin"), cases)
    with ModelRunner(shared_project, tmp_path / "other") as other:
        assert other.predict(model, cases.features_path, 0, 3).tolist() == [0.5, 0.5, 0.5]
    assert not (shared_project / "__pycache__").exists()


def test_changed_pipeline_code_is_fitted_again(cases: TrainingRows, open_runner: Open, project: Path) -> None:
    (project / "pipeline.py").write_text(LOGISTIC)
    before = open_runner().fit(NUMBERS, cases)
    (project / "pipeline.py").write_text(LOGISTIC.replace("LogisticRegression()", "LogisticRegression(C=0.01)"))
    assert open_runner().fit(NUMBERS, cases).digest != before.digest


def test_code_of_tests_is_no_part_of_the_code_digest(project: Path) -> None:
    (project / "pipeline.py").write_text(LOGISTIC)
    before = code_digest(project)
    (project / "tests").mkdir()
    (project / "tests" / "test_it.py").write_text("1")
    assert code_digest(project) == before
    (project / "helpers.py").write_text("1")
    assert code_digest(project) != before


def test_a_raising_pipeline_is_blamed_with_type_and_line_and_no_data(cases: TrainingRows, runner: ModelRunner) -> None:
    where = rf"KeyError at pipeline.py, line {CHECK_LINE} while fitting"
    with pytest.raises(PipelineFailed, match=where) as failed:
        runner.fit(replace(NUMBERS, pipeline="pipeline:raising"), cases)
    assert "Miller" not in str(failed.value) + str(failed.value.facts)
    assert "Miller" in Path(str(failed.value.facts["log"])).read_text()


def test_a_syntax_error_is_blamed_with_its_line(cases: TrainingRows, open_runner: Open, project: Path) -> None:
    (project / "pipeline.py").write_text("import os\ndef make(:\n")
    with pytest.raises(PipelineFailed, match=r"SyntaxError at pipeline.py, line 2 while importing"):
        open_runner().fit(PIPELINE, cases)


@pytest.mark.parametrize(
    ("pipeline", "refusal", "hint"),
    [
        ("pipelin:make", PipelineNotFound, 'not in the project folder .did you mean "pipeline.py"'),
        ("pipeline:mak", PipelineNotFound, 'did you mean "make"'),
        ("pipeline:number", NotAnEstimator, "returned a int"),
        ("pipeline:no_probabilities", NoProbabilities, "Pipeline, which has no predict_proba"),
    ],
)
def test_a_pipeline_that_cannot_be_used_says_what_to_do(
    cases: TrainingRows, runner: ModelRunner, *, pipeline: str, refusal: type[BuildError], hint: str
) -> None:
    with pytest.raises(refusal, match=hint):
        runner.fit(replace(NUMBERS, pipeline=pipeline), cases)


def test_a_pipeline_without_probabilities_is_used_when_calibrated(
    cases: TrainingRows, runner: ModelRunner, in_order: InOrder
) -> None:
    model = runner.fit(replace(NUMBERS, pipeline="pipeline:no_probabilities", calibrate=True), cases)
    assert in_order(cases.outcome, runner.predict(model, cases.features_path, 0, 600)) > 0.7


def test_scores_that_are_not_numbers_are_refused(cases: TrainingRows, runner: ModelRunner) -> None:
    model = runner.fit(replace(PIPELINE, task="regression", pipeline="pipeline:Coin"), cases)
    with pytest.raises(ScoresUnusable, match="NaN or infinity for 600 of 600 rows"):
        runner.predict(model, cases.features_path, 0, 600)


def test_weights_count_where_the_estimator_takes_them_and_are_noted_where_not(
    cases: TrainingRows, runner: ModelRunner
) -> None:
    weighted = replace(cases, weight=np.where(cases.outcome == 1, 10.0, 1.0))
    means = [
        runner.predict(runner.fit(NUMBERS, rows), cases.features_path, 0, 600).mean() for rows in (cases, weighted)
    ]
    assert means[1] > means[0] + 0.2
    assert runner.fit(NUMBERS, weighted).notes == ()
    assert "no sample_weight" in runner.fit(replace(NUMBERS, pipeline="pipeline:near"), weighted).notes[0]


def test_a_process_killed_during_a_fit_leaves_nothing_and_the_next_fit_works(
    cases: TrainingRows, open_runner: Open, project: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "started"
    os.mkfifo(pipe)
    (project / "pipeline.py").write_text(
        LOGISTIC + f"\ndef stuck():\n    import threading\n    open({str(pipe)!r}, 'w').close()\n"
        "    threading.Event().wait()\n"
    )
    runner = open_runner()

    def kill_once_it_fits() -> None:
        pipe.open().close()
        assert runner.process_id is not None
        os.kill(runner.process_id, signal.SIGKILL)

    killer = threading.Thread(target=kill_once_it_fits)
    killer.start()
    with pytest.raises(RunnerDied, match="ended by signal 9"):
        runner.fit(replace(NUMBERS, pipeline="pipeline:stuck"), cases)
    killer.join()
    assert list((tmp_path / "scratch" / "models").iterdir()) == []
    runner.fit(NUMBERS, cases)
    assert len(list((tmp_path / "scratch" / "models").iterdir())) == 1


def test_an_interrupt_ends_the_process_and_leaves_nothing(
    cases: TrainingRows, open_runner: Open, project: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "started"
    os.mkfifo(pipe)
    (project / "pipeline.py").write_text(
        f"def stuck():\n    import threading\n    open({str(pipe)!r}, 'w').close()\n    threading.Event().wait()\n"
    )
    runner = open_runner()
    seen: list[int] = []

    def interrupt_once_it_fits() -> None:
        pipe.open().close()
        assert runner.process_id is not None
        seen.append(os.pidfd_open(runner.process_id))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_once_it_fits).start()
    with pytest.raises(KeyboardInterrupt):
        runner.fit(replace(NUMBERS, pipeline="pipeline:stuck"), cases)
    assert select.select([seen[0]], [], [], 60)[0]
    os.close(seen[0])
    assert runner.process_id is None
    assert list((tmp_path / "scratch" / "models").iterdir()) == []


def test_a_scratch_that_is_no_folder_is_named(cases: TrainingRows, open_runner: Open, tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("a file")
    with pytest.raises(ScratchUnusable, match="scratch cannot be used"):
        open_runner().fit(BOOSTING, cases)


def test_native_code_that_crashes_is_reported_as_a_death(cases: TrainingRows, open_runner: Open, project: Path) -> None:
    (project / "pipeline.py").write_text("import os\ndef make():\n    os.abort()\n")
    with pytest.raises(RunnerDied, match="signal 6") as died:
        open_runner().fit(PIPELINE, cases)
    assert died.value.code == "build.runner-died"


def test_too_much_memory_is_said_so(cases: TrainingRows, project: Path, tmp_path: Path) -> None:
    (project / "pipeline.py").write_text("def make():\n    return bytearray(8_000_000_000)\n")
    with ModelRunner(project, tmp_path / "scratch", memory_limit_mb=6_000) as runner, pytest.raises(OutOfMemory):
        runner.fit(PIPELINE, cases)


def test_a_killed_caller_takes_its_process_along_and_its_desk_is_cleared_by_the_next(
    cases: TrainingRows, project: Path, tmp_path: Path
) -> None:
    (project / "pipeline.py").write_text(
        "import os, sys, threading\ndef make():\n    print('stuck', flush=True)\n    threading.Event().wait()\n"
    )
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\n"
        "from trueup.build.recipe import Feature, Recipe, TrainingRows\nfrom trueup.build.runner import ModelRunner\n"
        f"runner = ModelRunner(Path({str(project)!r}), Path({str(tmp_path / 'scratch')!r}))\n"
        "runner._started()\nprint(runner.process_id, flush=True)\n"
        "recipe = Recipe('pipeline', 'binary', (Feature('amount', 'number'),), pipeline='pipeline:make')\n"
        f"runner.fit(recipe, TrainingRows(Path({str(cases.features_path)!r}), np.arange(600), np.arange(600) % 2.0))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        child = int(caller.stdout.readline())
        ended = os.pidfd_open(child)
        caller.kill()
    assert select.select([ended], [], [], 60)[0]
    os.close(ended)
    with ModelRunner(project, tmp_path / "scratch"):
        assert len(list((tmp_path / "scratch" / "runners").iterdir())) == 1
    assert list((tmp_path / "scratch" / "runners").iterdir()) == []


def test_a_model_that_is_gone_or_damaged_is_named(cases: TrainingRows, open_runner: Open) -> None:
    model = open_runner().fit(BOOSTING, cases)
    (model.path / "model.pickle").write_bytes(b"\x80\x05damaged")
    with pytest.raises(ModelUnreadable, match="cannot be opened"):
        open_runner().predict(model, cases.features_path, 0, 1)
    (model.path / "model.pickle").unlink()
    with pytest.raises(ModelUnreadable, match="no model in"):
        open_runner().predict(model, cases.features_path, 0, 1)


def test_the_caller_imports_no_scikit_learn_and_opens_no_pickle(cases: TrainingRows, project: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nimport trueup.build.runner, trueup.build.guided, trueup.build.leakage\n"
        "from trueup.build.recipe import Feature, Recipe, TrainingRows\nimport numpy as np\n"
        f"with trueup.build.runner.ModelRunner(Path({str(project)!r}), Path({str(project / 's')!r})) as runner:\n"
        f"    path = Path({str(cases.features_path)!r})\n"
        "    rows = TrainingRows(path, np.arange(600), np.arange(600) % 2.0)\n"
        "    model = runner.fit(Recipe('linear', 'binary', (Feature('amount', 'number'),)), rows)\n"
        "    runner.predict(model, path, 0, 600)\n"
        "print(sorted({'sklearn', 'pandas', 'lightgbm', 'pickle5'} & set(sys.modules)))\n"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
