"""What happened in each case, as a number? Reads the label column of a table."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import Project
from trueup.kernel.errors import TrueupError
from trueup.lake.rehearsals import Notice

_YES = {"yes", "true", "1", "y", "t", "1.0"}
_NO = {"no", "false", "0", "n", "f", "0.0"}
_MANY_CLASSES = 100


class LabelError(TrueupError):
    """The label cannot be used."""

    code = "data.label"


@dataclass(frozen=True)
class Labels:
    """Outcomes as numbers."""

    outcome: NDArray[np.float64]
    """Shape (rows,): 0 or 1, the class index, or the number; NaN where empty."""
    classes: tuple[str, ...]
    notices: tuple[Notice, ...] = ()


def read_labels(project: Project, label: NDArray[np.generic]) -> Labels:
    """Return the outcomes of a label column.

    Raises
    ------
    LabelError
        When the column is empty or constant, has more than two values in a yes-or-no task, or is not a number where a
        number is predicted.
    """
    name = project.data.label
    empty = _is_empty(label)
    if empty.all():
        raise LabelError(
            f"the label {name} is empty in every row; name the column that says what happened", column=name
        )
    labels = _numbers(name, label) if project.task == "regression" else _classes(project, label, empty)
    known = labels.outcome[~np.isnan(labels.outcome)]
    if (known == known[0]).all() and not (project.task == "binary" and project.data.label_final_at and empty.any()):
        raise LabelError(
            f"the label {name} has the same value in all {len(known):,} rows, so there is nothing to learn; "
            "check the label column or the source's filter",
            column=name,
        )
    return labels


def _numbers(name: str, label: NDArray[np.generic]) -> Labels:
    try:
        return Labels(np.array(label, dtype=np.float64), ())
    except (TypeError, ValueError) as error:
        raise LabelError(
            f"the label {name} is not a number, but the task is regression; "
            'set task = "multiclass" in [project], or name a number column',
            column=name,
        ) from error


def _classes(project: Project, label: NDArray[np.generic], empty: NDArray[np.bool_]) -> Labels:
    filled = label[~empty]
    if filled.dtype.kind in "bui" or filled.dtype.kind == "f":
        values, codes = np.unique(filled.astype(np.float64), return_inverse=True)
        texts = [f"{v:g}" for v in values]
    else:
        found, codes = np.unique(np.array([str(v) for v in filled]), return_inverse=True)
        texts = [str(v) for v in found]
    outcome = np.full(len(label), np.nan)
    if project.task == "multiclass":
        if len(texts) > _MANY_CLASSES:
            raise LabelError(
                f"the label {project.data.label} has {len(texts):,} different values; for numbers set "
                'task = "regression", else group them into fewer classes',
                column=project.data.label,
            )
        outcome[~empty] = codes
        return Labels(outcome, tuple(texts))
    positive = _positive_index(project, texts)
    outcome[~empty] = (codes == positive).astype(np.float64)
    negative = next((t for i, t in enumerate(texts) if i != positive), "no")
    return Labels(outcome, (negative, texts[positive] if positive >= 0 else "yes"))


def _positive_index(project: Project, texts: list[str]) -> int:
    name, wanted = project.data.label, project.data.positive
    if len(texts) > 2:
        raise LabelError(
            f"the label {name} has {len(texts):,} different values, but a yes-or-no decision needs two; set "
            'task = "multiclass" or "regression" in [project], or write a condition such as label = "delay > 30"',
            column=name,
        )
    if wanted is not None:
        if wanted in texts:
            return texts.index(wanted)
        raise LabelError(f'data.positive is "{wanted}", but {name} holds {" and ".join(texts)}', column=name)
    yes = [i for i, t in enumerate(texts) if t.lower() in _YES]
    if yes:
        return yes[0]
    if all(t.lower() in _NO for t in texts):
        return -1
    raise LabelError(
        f"the label {name} holds {' and '.join(texts)}; say which one is the positive with data.positive", column=name
    )


def _is_empty(label: NDArray[np.generic]) -> NDArray[np.bool_]:
    if label.dtype.kind == "f":
        return np.asarray(np.isnan(label))
    if label.dtype.kind == "O":
        return np.array([v is None or (isinstance(v, float) and math.isnan(v)) for v in label], dtype=bool)
    return np.zeros(len(label), dtype=bool)
