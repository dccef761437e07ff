"""Is a row decided alike wherever it is decided? Development, a file, one server process; and several that are killed.

``python -m benchmarks.endurance equality`` plays all bookings of the hotel example. Each is decided at its own event
time: the server rehearses, told by the header ``trueup-now``.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import math
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tests.serve.running import RunningServer, serving

from benchmarks.measuring import Figure
from trueup.align.allocation import StreamAllocator
from trueup.align.charter import Project
from trueup.align.payoff import ActionEffect, expected_gain, realised_payoff
from trueup.align.project_file import read_project
from trueup.align.streaming import MemoryTokens, pace_from
from trueup.bundle.loading import open_bundle
from trueup.bundle.trust import trusted_keys
from trueup.cli.workspace import open_workspace
from trueup.data.history import History
from trueup.data.ingest import ingest
from trueup.data.prediction_log import open_log
from trueup.kernel.ids import IdMint, id_as_text
from trueup.kernel.periods import iso, moment_of
from trueup.lake.folder_store import FolderStore
from trueup.loop.predict import Order, predict
from trueup.loop.predict_reading import Source
from trueup.loop.predict_scoring import Setup
from trueup.loop.prepare import Workspace, history_of, open_tables, table_name
from trueup.loop.train import train

EXAMPLES = Path(__file__).parents[1] / "examples"
AS_OF = moment_of(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
MOST_ROWS = 500
"""Of a request."""
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Packaged:
    """A project with its past and its bundle."""

    folder: Path
    project: Project
    history: History
    bundle: Path

    @property
    def workspace(self) -> Workspace:
        """Where its working files live."""
        return Workspace(self.folder / ".trueup")

    @property
    def moments(self) -> NDArray[np.int64]:
        """When each case happened."""
        return np.asarray(self.history.event_time)

    def acted_by_period(self, acted: Flags) -> NDArray[np.int64]:
        """Return how many cases were acted on in each period of the calendar."""
        calendar = self.project.charter.calendar()
        starts = calendar.starts_between(int(self.moments[0]), int(self.moments[-1]) + 1)
        return np.bincount(calendar.index_of(self.moments[acted], starts), minlength=len(starts) - 1)

    def value(self, acted: Flags) -> float:
        """Return what acting on these cases earned, against acting on nobody, in the currency."""
        effect = ActionEffect.of(self.project.charter)
        outcome, payoffs = np.asarray(self.history.outcome), np.asarray(self.history.payoffs)
        nobody = realised_payoff(np.zeros(len(acted), dtype=bool), outcome, payoffs, effect=effect)
        return float(np.nansum(realised_payoff(acted, outcome, payoffs, effect=effect) - nobody))


@dataclass(frozen=True)
class Answers:
    """What was said of each row of the history, in its order; arrays of shape (n_rows,)."""

    scores: Array
    qualifies: Flags
    acted: Flags

    def unequal(self, other: Answers) -> dict[str, int]:
        """Return how many rows differ, by what; a score counts as equal when all its bits are."""
        return {
            "score": int((self.scores.view(np.int64) != other.scores.view(np.int64)).sum()),
            "qualifies": int((self.qualifies != other.qualifies).sum()),
            "decision": int((self.acted != other.acted).sum()),
        }


def hotel(folder: Path, file: Path) -> Packaged:
    """Ingest, train and package the hotel example."""
    shutil.copytree(EXAMPLES / "hotel_bookings", folder, dirs_exist_ok=True)
    project, workspace = read_project(folder), open_workspace(folder).for_loop()
    ingest(str(file), tables=open_tables(workspace), name=table_name(project), as_of=AS_OF)
    bundle = train(project, workspace, guided=False).bundle.path
    return Packaged(folder, project, history_of(project, workspace), bundle)


def development(made: Packaged) -> Answers:
    """Decide as a rehearsal does: arrays of scores and payoffs, and one allocator."""
    charter = made.project.charter
    with open_bundle(made.bundle, trusted_keys=trusted_keys(made.workspace.keys)) as bundle:
        table = pq.read_table(made.history.table_path)
        scores = np.concatenate([bundle.score_table(table.slice(i, 7_000)) for i in range(0, len(table), 7_000)])
    gains = expected_gain(scores, np.asarray(made.history.payoffs), effect=ActionEffect.of(charter))
    pace = pace_from(json.loads((made.bundle / "reference" / "pace.json").read_text()))
    cases = charter.capacity.cases if charter.capacity else len(gains)
    allotment = StreamAllocator(charter.calendar(), cases).allot(made.moments, gains, pace=pace, tokens=None)
    return Answers(scores, gains > 0, allotment.acted)


def batch(made: Packaged, out: Path, *, workers: int = 2) -> Answers:
    """Decide the whole table as `trueup predict --clock event` does."""
    run = IdMint().new(AS_OF)
    predict(
        Source([made.history.table_path]),
        out,
        setup=Setup(made.bundle, trusted_keys(made.workspace.keys), None, (), run.hex()),
        order=Order("streaming", "event", workers=workers),
        tokens=MemoryTokens(),
        now=AS_OF,
        run=run,
        scratch=made.workspace.scratch,
    )
    answered = pq.read_table(out)
    return Answers(
        answered.column("score").to_numpy(),
        answered.column("qualifies").to_numpy(zero_copy_only=False),
        answered.column("decision").to_numpy(zero_copy_only=False),
    )


# --- online


@dataclass(frozen=True)
class Ask:
    """One request: cases that happened at one moment."""

    first: int
    """Position of its first row in the history."""
    rows: int
    now: str
    body: bytes


def asks_of(made: Packaged, rows: slice = slice(None), *, most_rows: int = MOST_ROWS) -> list[Ask]:
    """Return the requests a caller would send for some rows: those of one moment together, in order, with own ids."""
    table = pq.read_table(made.history.table_path)
    table = table.select([name for name in table.column_names if not name.startswith("trueup$")])
    first, last, _ = rows.indices(len(table))
    written = [_as_json(row) for row in table.slice(first, last - first).to_pylist()]
    moments = made.moments[first:last]
    mint, asks = IdMint(), []
    edges = [0, *(np.flatnonzero(np.diff(moments)) + 1).tolist(), len(moments)]
    for start, end in pairwise(edges):
        for part in range(start, end, most_rows):
            some = written[part : min(end, part + most_rows)]
            named = id_as_text(mint.new(int(moments[part])))
            body = f'{{"prediction_id": "{named}", "rows": [{",".join(some)}]}}'
            asks.append(Ask(first + part, len(some), iso(int(moments[part])), body.encode()))
    return asks


def _as_json(row: dict[str, Any]) -> str:
    """Write a row as any caller would: numbers as numbers, moments as ISO text, what is missing as null."""
    plain = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
    return json.dumps(plain, default=lambda moment: moment.isoformat())


class Told:
    """Collects what a server answers."""

    def __init__(self, made: Packaged) -> None:
        rows = made.history.rows
        self.answers = Answers(np.full(rows, np.nan), np.zeros(rows, dtype=bool), np.zeros(rows, dtype=bool))

    def take(self, ask: Ask, answer: httpx.Response) -> None:
        """Keep the answer to a request."""
        for place, told in enumerate(answer.json()["predictions"], ask.first):
            self.answers.scores[place] = math.nan if told["score"] is None else told["score"]
            self.answers.qualifies[place] = told["qualifies"]
            self.answers.acted[place] = told["decision"]


def ask_in_order(server: RunningServer, made: Packaged, asks: Sequence[Ask]) -> Answers:
    """Ask one after the other."""
    told = Told(made)
    for ask in asks:
        answer = server.client.post(f"/predict/{made.project.name}", content=ask.body, headers={"trueup-now": ask.now})
        answer.raise_for_status()
        told.take(ask, answer)
    return told.answers


def ask_while_killing(
    server: RunningServer, made: Packaged, asks: Sequence[Ask], *, callers: int, kills: int, seed: int
) -> Answers:
    """Ask as several callers at once, while workers are killed; what fails is retried.

    The callers share the requests of a moment, and go on to the next one together: a clock moves on for all.
    """
    told, chance = Told(made), np.random.default_rng(seed)
    moments = [list(some) for _, some in groupby(asks, key=lambda ask: ask.now)]
    at = set(np.linspace(0, len(moments), kills + 2, dtype=int)[1:-1].tolist())
    headers = dict(server.client.headers)

    async def call(client: httpx.AsyncClient, waiting: Iterator[Ask]) -> None:
        for ask in waiting:
            told.take(ask, await _until_answered(client, made.project.name, ask))

    async def all_of_them() -> None:
        clients = [httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) for _ in range(callers)]
        for place, some in enumerate(moments):
            waiting = iter(some)
            calls = [asyncio.create_task(call(client, waiting)) for client in clients]
            if place in at:
                await asyncio.sleep(0)
                os.kill(int(chance.choice(server.workers())), signal.SIGKILL)
            await asyncio.gather(*calls)
        await asyncio.gather(*(client.aclose() for client in clients))

    asyncio.run(all_of_them())
    return told.answers


async def _until_answered(client: httpx.AsyncClient, project: str, ask: Ask) -> httpx.Response:
    """Send a request, with its id, until a worker that lives and has time answers it."""
    for _ in range(1_000):
        try:
            answer = await client.post(f"/predict/{project}", content=ask.body, headers={"trueup-now": ask.now})
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code not in (429, 503):
            answer.raise_for_status()
            return answer
        await asyncio.sleep(0.02)
    raise TimeoutError("a request was not answered by any worker")


@contextmanager
def rehearsing(made: Packaged, folder: Path, *, processes: int) -> Iterator[RunningServer]:
    """Give a server of a copy of the project, which nothing was served from before."""
    shutil.copytree(made.folder, folder, ignore=shutil.ignore_patterns("scratch", "tables"))
    token = folder / ".trueup" / "keys" / "serve-first.token"
    options = ("--rehearsing", "--processes", str(processes))
    with serving(folder, *options, spool=folder / "spool", token=token) as server:
        yield server


def logged_by_period(made: Packaged, folder: Path) -> dict[dt.datetime, tuple[int, int]]:
    """Return how many cases of each month are in the log of a server that ended, and how many were acted on."""
    store = FolderStore(folder / ".trueup" / "lake")
    zone = made.project.charter.timezone
    local = f"date_trunc('month', timezone('{zone}', timezone('UTC', decided_at)))"
    with open_log(store, made.project.name, scratch=folder) as log:
        query = f"SELECT {local}, count(*), count(*) FILTER (acted) FROM predictions GROUP BY 1"  # ours
        return {month: (rows, acted) for month, rows, acted in log.database.execute(query).fetchall()}


def figures(folder: Path, file: Path) -> Iterator[Figure]:
    """Yield on how many bookings the ways to decide differ, and what several processes that are killed keep of it."""
    made = hotel(folder / "hotel", file)
    expected = development(made)
    for what, count in expected.unequal(batch(made, folder / "answers.parquet")).items():
        yield Figure(f"equality.batch.{what}", count, "rows that differ", "promised", 0, f"{made.history.rows:,} rows")
    with rehearsing(made, folder / "one", processes=1) as server:
        answers = ask_in_order(server, made, asks_of(made))
    for what, count in expected.unequal(answers).items():
        yield Figure(f"equality.online.{what}", count, "rows that differ", "promised", 0, "one process, in order")
    for kills in (0, 40):
        where = folder / f"four-{kills}"
        with rehearsing(made, where, processes=4) as server:
            answers = ask_while_killing(server, made, asks_of(made, most_rows=25), callers=8, kills=kills, seed=1)
            server.stop()
        name, note = f"equality.four.{kills}_kills", "4 processes, 8 callers, 25 rows a request"
        yield Figure(f"{name}.score", expected.unequal(answers)["score"], "rows that differ", "promised", 0, note)
        yield Figure(f"{name}.decision", expected.unequal(answers)["decision"], "rows that differ", note=note)
        yield Figure(f"{name}.calls", int(made.acted_by_period(answers.acted).max()), "in a month", "capacity", 300)
        logged = logged_by_period(made, where)
        yield Figure(f"{name}.logged", sum(rows for rows, _ in logged.values()), "rows", "answered", made.history.rows)
        yield Figure(f"{name}.logged_calls", max(a for _, a in logged.values()), "in a month", "capacity", 300)
        yield Figure(f"{name}.value", made.value(answers.acted), "EUR", "one process", made.value(expected.acted))
