"""Which number of a row does a tree split on, and must the number be rewritten before LightGBM sees it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trueup.bundle.compiling.lightgbm_text import Ensemble, model_text
from trueup.bundle.compiling.parts import Column, Compiled, NotCompiled
from trueup.bundle.compiling.tree_nodes import Nodes
from trueup.bundle.predictors.recoding import NEAR_ZERO, recoding_document
from trueup.kernel.digests import digest_of_bytes

Codes = tuple[int, tuple[float, ...], tuple[float, ...]]


def compiled_ensemble(
    ensemble: Ensemble, part: str, *, codes: Sequence[Codes] = (), zero_up_to: float = 0.0
) -> Compiled | NotCompiled:
    """Return trees as one stage of kind ``lightgbm``.

    Parameters
    ----------
    ensemble : Ensemble
        The trees.
    part : str
        The estimator's name.
    codes : sequence
        Columns that arrive in other codes than the trees split on: column, given, taken.
    zero_up_to : float
        Sizes that the original takes for zero.
    """
    near_zero = set[int]()
    for nodes in ensemble.trees:
        near_zero |= _splits_at_zero(nodes)
    if -1 in near_zero:
        return NotCompiled(
            part, f"a tree splits a number at less than {NEAR_ZERO} from zero, which LightGBM cannot tell from zero"
        )
    recoding = recoding_document(codes, near_zero=sorted(near_zero), zero_up_to=zero_up_to)
    return lightgbm_stage(model_text(ensemble), inputs=ensemble.inputs, outputs=ensemble.outputs, recoding=recoding)


def lightgbm_stage(text: bytes, *, inputs: int, outputs: int, recoding: dict[str, Any]) -> Compiled:
    """Return LightGBM text as a stage; the file is named by its content, so that two stages never share a name."""
    name = f"trees-{digest_of_bytes(text)[:12]}.txt"
    stage: dict[str, Any] = {"kind": "lightgbm", "file": name, "inputs": inputs, "outputs": outputs}
    if recoding:
        stage["recoding"] = recoding
    return Compiled((stage,), {name: text}, answer_columns(outputs))


def answer_columns(outputs: int) -> tuple[Column, ...]:
    """Return the columns of an estimator's answer."""
    return tuple(Column(f"answer_{place}") for place in range(outputs))


def _splits_at_zero(nodes: Nodes) -> set[int]:
    """Return the columns that a node splits at zero; -1 among them where one splits closer to zero than is told."""
    inner = np.flatnonzero((nodes.left != -1) & (np.abs(nodes.threshold) <= NEAR_ZERO))
    numeric = [node for node in inner.tolist() if node not in nodes.chosen]
    return {int(nodes.feature[node]) if nodes.threshold[node] == 0 else -1 for node in numeric}
