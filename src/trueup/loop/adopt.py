"""From a model logged with MLflow to a signed bundle: read, examine, prove, package. Nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import Project
from trueup.align.decision_policy import policy_document
from trueup.align.document import charter_digest
from trueup.bundle.examining import Examined, examine
from trueup.bundle.features import FeatureSpec
from trueup.bundle.frames import table_of_rows
from trueup.bundle.golden import MOST_REAL_ROWS, make_golden_requests, requests_of
from trueup.bundle.logged_features import logged_columns, logged_features
from trueup.bundle.mlflow_reading import LoggedColumn, LoggedModel, read_logged_model
from trueup.bundle.package import BundleContents, BundleRef
from trueup.bundle.requirements import requirement_differences
from trueup.bundle.trying import Tried, try_features
from trueup.data.history import History
from trueup.kernel.digests import digest_of, digest_of_bytes
from trueup.kernel.errors import TrueupError, nearest_spelling
from trueup.loop.carried import pace_of, reference_of
from trueup.loop.cutoff import cutoff_of
from trueup.loop.packaging import WITHOUT_PROJECT, check_early, publish
from trueup.loop.prepare import Progress, Workspace, history_of
from trueup.loop.stage import open_workbench
from trueup.loop.worth import DecisionWorth, worth_of

if TYPE_CHECKING:
    import pyarrow as pa

_PROFILED_VALUES = 400_000
"""20,000 rows of up to 20 columns, fewer of wider models."""
_NEEDS = {"onnx": ("onnxruntime",), "lightgbm": ("lightgbm",)}


class CannotAdopt(TrueupError):
    """A model made elsewhere does not fit the project, or says too little about itself."""

    code = "loop.cannot-adopt"


@dataclass(frozen=True)
class Adopted:
    """What `adopt_mlflow` made."""

    bundle: BundleRef
    flavour: str
    kind: str
    """The model's class."""
    task: str
    classes: tuple[str, ...]
    features: tuple[FeatureSpec, ...]
    real_rows: int
    """Rows of the project's table, or of the input example, among the golden rows."""
    requirements: tuple[str, ...]
    """What its requirements ask for and is not so here."""
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON document."""
        return {
            "bundle": {"digest": self.bundle.digest, "path": str(self.bundle.path)},
            "flavour": self.flavour,
            "kind": self.kind,
            "task": self.task,
            "classes": list(self.classes),
            "features": [{"name": f.name, "kind": f.kind, "dtype": f.dtype} for f in self.features],
            "real_rows": self.real_rows,
            "requirements": list(self.requirements),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Rows:
    """Real rows that the model is proved on."""

    table: pa.Table
    history: History | None = None
    places: NDArray[np.int64] | None = None
    """Where they are in the history."""


def adopt_mlflow(
    path: Path, *, project: Project | None, workspace: Workspace, progress: Progress | None = None
) -> Adopted:
    """Package the MLflow model at `path`.

    Parameters
    ----------
    path : Path
        An MLflow model folder, or a folder with one below it, such as the artifacts of a run.
    project : Project or None
        Whose table gives the rows it is proved on, and whose charter it serves; None: its input example alone.
    workspace : Workspace
        Holds the project's ingested table; the bundle goes to its lake.
    progress : callable, optional

    Raises
    ------
    MlflowUnreadable, MlflowUnsupported
        It is no model folder, or of a kind that cannot become a bundle.
    CannotAdopt
        Its task, columns or classes are not the project's; or there are neither a signature nor rows to learn from.
    PickleRefused
        Its pickle names what no model needs.
    """
    say = progress or _say_nothing
    check_early(project, workspace)
    logged = read_logged_model(path)
    history = history_of(project, workspace) if project is not None else None
    say(0, 1, "opening the model in a confined process")
    examined = examine(
        logged.file.read_bytes(),
        logged.form,
        names=None if logged.columns is None or logged.unnamed else [column.name for column in logged.columns],
        classes=history.classes if history is not None and history.classes else None,
        code=logged.code,
    )
    if project is not None and project.task != examined.task:
        raise CannotAdopt(
            f"the model answers a {examined.task} task, and the project's is {project.task}; change task in [project], "
            "or take the model that was trained for it",
            model=examined.task,
            project=project.task,
        )
    columns = _columns(logged, examined, history)
    rows = _rows(logged, columns, history)
    say(0, 1, "comparing frames")
    features = logged_features(columns, examined, table=rows.table if history is not None else None)
    tried = _tried(features, examined, logged, rows)
    say(0, 1, "packaging and proving")
    contents = _contents(logged, examined, tried, rows, project=project, workspace=workspace)
    if project is not None:
        contents = _with_past(contents, tried, rows, project=project, scratch=workspace.scratch)
    model = workspace.scratch / f"{contents.model_version}.pickle"
    model.parent.mkdir(parents=True, exist_ok=True)
    try:
        model.write_bytes(examined.content)
        bundle = publish(contents, workspace, project=project)
    finally:
        model.unlink(missing_ok=True)
    real = min(rows.table.num_rows, MOST_REAL_ROWS)
    return Adopted(
        bundle=bundle,
        flavour=logged.flavour,
        kind=examined.kind,
        task=examined.task,
        classes=contents.classes,
        features=tried.features,
        real_rows=real,
        requirements=requirement_differences(logged.requirements),
        notes=(*logged.notes, *_notes(tried, real, history)),
    )


def _say_nothing(done: int, total: int, what: str) -> None:
    """Tell nobody."""


def _columns(logged: LoggedModel, examined: Examined, history: History | None) -> tuple[LoggedColumn, ...]:
    """Return the model's inputs: of the signature, else by the names the model knows and the types of the table."""
    if logged.columns is not None and not logged.unnamed:
        return logged.columns
    names = examined.names
    if logged.columns is not None:
        by_order = _names_by_order(names, history, width=len(logged.columns))
        return tuple(
            LoggedColumn(name, one.type, one.required) for name, one in zip(by_order, logged.columns, strict=True)
        )
    if names is None:
        raise CannotAdopt(
            "the model has no signature and does not know the names of its columns; log it again with "
            "signature=mlflow.models.infer_signature(X)"
        )
    if history is None:
        raise CannotAdopt(
            "the model has no signature, so nothing tells the types of its columns; name a project whose table has "
            "them, or log it again with signature=mlflow.models.infer_signature(X)"
        )
    return logged_columns(_read(history, names, _places(history, 1)), names)


def _names_by_order(names: Sequence[str] | None, history: History | None, *, width: int) -> Sequence[str]:
    if names is not None and len(names) == width:
        return names
    if history is None:
        return [f"x{place}" for place in range(width)]
    features = [column.name for column in history.features]
    if len(features) != width:
        raise CannotAdopt(
            f"the model takes {width} columns without names, and the project has {len(features)} features "
            f"({', '.join(features[:10])}); name the columns in the signature, or exclude the others in data.exclude",
            model=width,
            project=len(features),
        )
    return features


def _rows(logged: LoggedModel, columns: Sequence[LoggedColumn], history: History | None) -> _Rows:
    names = [column.name for column in columns]
    if history is not None:
        places = _places(history, max(MOST_REAL_ROWS, _PROFILED_VALUES // max(20, len(names))))
        return _Rows(_read(history, names, places), history, places)
    if not logged.example:
        raise CannotAdopt(
            "there are no rows to prove the model on: no project is named and the model has no input example; name the "
            "project, or log the model again with input_example=X.head()"
        )
    given = list(logged.example[0])
    by_order = logged.unnamed and len(given) == len(names)
    rows = [
        dict(zip(names, row.values(), strict=True)) if by_order else {name: row.get(name) for name in names}
        for row in logged.example
    ]
    return _Rows(_example_table(rows, columns))


def _example_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[LoggedColumn]) -> pa.Table:
    kinds = {"string": "text", "datetime": "date", "boolean": "boolean"}
    features = [FeatureSpec(c.name, kinds.get(c.type, "number")) for c in columns]  # type: ignore[arg-type]  # all are
    return table_of_rows(rows, features)


def _check_roles(names: Sequence[str], history: History) -> None:
    roles = {column.name: column.role for column in history.columns}
    for name in names:
        if name not in roles:
            raise CannotAdopt(
                f'the model takes the column "{name}", which the project\'s table does not have'
                f"{nearest_spelling(name, roles)}; its columns are {', '.join(sorted(roles)[:20])}",
                column=name,
            )
        if roles[name] not in ("feature", "excluded"):
            raise CannotAdopt(
                f'the model takes the column "{name}", which is the {roles[name]} of the project: nobody knows it when '
                "a case is decided; train it without that column",
                column=name,
                role=roles[name],
            )


def _places(history: History, most: int) -> NDArray[np.int64]:
    """Return at most `most` positions, evenly spaced over the past."""
    return np.linspace(0, history.rows - 1, min(most, history.rows)).astype(np.int64)


def _read(history: History, names: Sequence[str], places: NDArray[np.int64]) -> pa.Table:
    """Return rows of the project's table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_roles(names, history)
    return pq.read_table(history.table_path, columns=list(names), use_threads=False).take(pa.array(places))


def _tried(features: tuple[FeatureSpec, ...], examined: Examined, logged: LoggedModel, rows: _Rows) -> Tried:
    """Return the frame that gives what MLflow's own does, the most forgiving one of those that do."""
    tried = try_features(
        examined,
        features,
        requests=requests_of(rows.table, features),
        code=logged.code,
    )
    if tried is None:
        raise CannotAdopt(
            f"the model refuses all {rows.table.num_rows:,} rows it was tried on; see that the "
            "columns of its signature are those it was fitted on, with the same types"
        )
    return tried


def _contents(
    logged: LoggedModel,
    examined: Examined,
    tried: Tried,
    rows: _Rows,
    *,
    project: Project | None,
    workspace: Workspace,
) -> BundleContents:
    history = rows.history
    needs = _NEEDS.get(logged.flavour, ())
    recipe = {
        "kind": "mlflow",
        "flavour": logged.flavour,
        "model": examined.kind,
        "code": sorted(logged.code),
        "needs": list(needs),
    }
    source = digest_of_bytes(logged.file.read_bytes())
    named = history.classes if history is not None and history.classes else examined.labels
    return BundleContents(
        project=project.name if project is not None else WITHOUT_PROJECT,
        task=examined.task,
        model_version=source[:12],
        charter_version=1 if project is not None else 0,
        charter_digest=charter_digest(project.charter) if project is not None else "",
        table_version=history.table_version if history is not None else "",
        features=tried.features,
        model_path=workspace.scratch / f"{source[:12]}.pickle",
        golden_requests=make_golden_requests(rows.table, tried.features),
        classes=named if examined.task != "regression" else (),
        metrics={"source": source},
        recipe=recipe,
        recipe_digest=digest_of([recipe, source]),
        code=logged.code,
        needs=needs,
    )


def _with_past(
    contents: BundleContents, tried: Tried, rows: _Rows, *, project: Project, scratch: Path
) -> BundleContents:
    """Return the contents with what the project's past says: policy, cut-off and reference profiles."""
    history, places = rows.history, rows.places
    if history is None or places is None:
        return contents
    width = max(len(output) for output in tried.outputs if output is not None)
    answers = np.array([(np.nan,) * width if output is None else output for output in tried.outputs])
    scores = answers[:, 0] if width == 1 else answers
    reference = reference_of(history, contents.features, scores=scores, rows=places)
    cutoff, pace = _cutoff_and_pace(project, history, scores, places, scratch=scratch)
    return replace(
        contents,
        policy=policy_document(project),
        reference=reference if pace is None else reference | {"pace": pace},
        cutoff=cutoff,
    )


def _cutoff_and_pace(
    project: Project, history: History, scores: NDArray[np.float64], places: NDArray[np.int64], *, scratch: Path
) -> tuple[float | None, dict[str, Any] | None]:
    with open_workbench(project, history, scratch) as (_, pricer):
        worth = worth_of(project, history, pricer)
        if not isinstance(worth, DecisionWorth):
            return None, None
        answered = ~np.isnan(scores)
        scores, places = scores[answered], places[answered]
        cutoff = cutoff_of(project, history, worth, scores=scores, rows=places)
        pace = pace_of(project.charter, history, gains=worth.gains(scores, places)) if history.dated else None
        return cutoff, pace


def _notes(tried: Tried, real: int, history: History | None) -> tuple[str, ...]:
    strict = [f.name for f in tried.features if f.dtype in ("int64", "int32", "bool")]
    texts = [f.name for f in tried.features if f.kind == "text"]
    notes = []
    if strict:
        notes.append(f"rows where {', '.join(strict)} is missing are refused, as MLflow refuses them")
    if texts:
        notes.append(f"{', '.join(texts)}: no categories are known, so the model itself answers, not a compiled one")
    if history is None or real < MOST_REAL_ROWS:
        whose = "the input example" if history is None else "the project's table"
        notes.append(
            f"proved on {real:,} rows of {whose} and the edge rows; "
            + ("name a project for 2,000 real ones" if history is None else "the table has no more")
        )
    return tuple(notes)
