"""What did a model say about these cases? Scores in blocks, kept while they are likely to be asked for again."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from trueup.build.recipe import FittedModel
from trueup.build.runner import ModelRunner
from trueup.data.history import History

Array = NDArray[np.float64]
_KEPT_BLOCKS = 6
_SMALLEST, _LARGEST = 2_000, 50_000


class Scorer:
    """Answers with the scores of any stretch of a history.

    A model sees nothing but a case's own features, so scoring a block ahead of time tells it nothing of the future.

    Parameters
    ----------
    history : History
    runner : ModelRunner
        The separate process that holds the models.
    block_rows : int
        Rows scored at once; about what one release will be asked for.
    """

    def __init__(self, history: History, runner: ModelRunner, *, block_rows: int) -> None:
        self._history = history
        self._runner = runner
        self._block_rows = int(np.clip(block_rows, _SMALLEST, _LARGEST))
        self._blocks: OrderedDict[tuple[str, int], Array] = OrderedDict()

    def scores(self, model: FittedModel, rows: slice) -> Array:
        """Return the scores of the cases at positions ``rows.start`` to ``rows.stop``.

        Shape (n_cases,), or (n_cases, n_classes) for several classes.
        """
        if rows.start >= rows.stop:
            return np.zeros(0)
        first, last = rows.start // self._block_rows, (rows.stop - 1) // self._block_rows
        found = np.concatenate([self._block(model, i) for i in range(first, last + 1)])
        offset = first * self._block_rows
        return found[rows.start - offset : rows.stop - offset]

    def _block(self, model: FittedModel, index: int) -> Array:
        key = (model.digest, index)
        if key in self._blocks:
            self._blocks.move_to_end(key)
            return self._blocks[key]
        start = index * self._block_rows
        stop = min(start + self._block_rows, self._history.rows)
        scores = self._runner.predict(model, self._history.table_path, start, stop)
        self._blocks[key] = scores
        while len(self._blocks) > _KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return scores
