"""A project with a bundle, and its rows decided: for the tests of batch runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from trueup.align.charter import Project
from trueup.align.streaming import MemoryTokens, TokenCounter
from trueup.bundle.trust import trusted_keys
from trueup.data.history import History
from trueup.data.prediction_log import PredictionLog, open_log
from trueup.kernel.ids import IdMint
from trueup.kernel.periods import moment_of
from trueup.lake.sealing import Sealer
from trueup.lake.segments import list_segments
from trueup.loop.predict import Order, Predicted, predict
from trueup.loop.predict_logging import LogTarget
from trueup.loop.predict_reading import Source
from trueup.loop.predict_scoring import Setup
from trueup.loop.prepare import Workspace, history_of
from trueup.loop.train import train

NOW = moment_of(datetime(2016, 11, 2, 12, tzinfo=UTC))
Made = Callable[..., tuple[Project, Workspace]]


@dataclass(frozen=True)
class Packaged:
    """A project's bundle, and its past."""

    project: Project
    workspace: Workspace
    bundle: Path
    history: History

    def predict(
        self,
        source: Path,
        out: Path,
        *,
        tokens: TokenCounter | None = None,
        run: bytes | None = None,
        log: LogTarget | None = None,
        now: int = NOW,
        **order: Any,
    ) -> Predicted:
        run = run or IdMint().new(NOW)
        return predict(
            Source([source]),
            out,
            setup=Setup(self.bundle, trusted_keys(self.workspace.keys), None, tuple(order.get("keep", ())), run.hex()),
            order=Order(**order),
            tokens=tokens or MemoryTokens(),
            now=now,
            run=run,
            scratch=self.workspace.scratch,
            log=log,
        )


def packaged(project: Project, workspace: Workspace) -> Packaged:
    bundle = train(project, workspace, guided=False).bundle.path
    return Packaged(project, workspace, bundle, history_of(project, workspace))


def answers(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()  # type: ignore[no-any-return]  # rows
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def sealed(target: LogTarget, project: str, scratch: Path) -> Iterator[PredictionLog]:
    """Seal what was logged, and open the log."""
    hot = target.spool.hot(project)
    done = Sealer(target.store, project, hot=hot, clock=target.clock).seal_finished()
    assert done.waiting == {}
    assert list_segments(hot) == ()
    scratch.mkdir(exist_ok=True)
    with open_log(target.store, project, scratch=scratch) as log:
        yield log


def told(log: PredictionLog, question: str) -> list[dict[str, Any]]:
    found = log.database.execute(question)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
