"""A packaged model of two numbers, and loadouts in which it decides under a small charter."""

from __future__ import annotations

import functools
import itertools
import json
import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.linear_model import LogisticRegression
from tests.serve.lakes import FEATURES
from tests.serve.lakes import PROJECT as CHARTER

from trueup.align.decision_policy import DecisionPolicy, policy_document
from trueup.align.project_file import parse_project
from trueup.align.streaming import MemoryTokens, StreamDecider, Terms, TokenCounter
from trueup.bundle.fast_answers import FastAnswers
from trueup.bundle.golden import make_golden_requests
from trueup.bundle.loading import LoadedBundle, open_bundle
from trueup.bundle.package import BundleContents, package
from trueup.bundle.signing import ensure_signing_key, public_key_path
from trueup.kernel.ids import IdMint
from trueup.lake.log_records import DecidedRow, PredictionRecord, decode_record
from trueup.measure.profiles import as_json, profile_numbers
from trueup.serve.answering import Answerer
from trueup.serve.loadout import Loadout, Seat, seat_of_bundle
from trueup.serve.replies import Reply
from trueup.serve.row_requests import PolicyColumns

PROJECT = CHARTER
for _usual, _here in (
    ('"-20 * greatest(amount, 0)"', '"-20 * fee"'),
    ('cases = 300\nper = "month"', 'cases = 3\nper = "day"'),
    ('time = "happened"\n', ""),
):
    PROJECT = PROJECT.replace(_usual, _here)
NOON = 1_789_000_000_000_000
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
SAFE = {"amount": -2.0, "age": 20.0, "fee": 1.0, "case": "safe"}
"""Scored near 0: acting is not worth it."""
RISKY = {"amount": 2.5, "age": 60.0, "fee": 1.0, "case": "risky"}
"""Scored near 1: acting saves nearly 15."""


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


@functools.cache
def model(*, age_counts: bool = True) -> LoadedBundle:
    """Return an opened bundle; one in which the age does not count scores otherwise."""
    folder = Path(_folder().name)
    key = ensure_signing_key(folder / "signing.pem")
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({"amount": chance.normal(size=400), "age": chance.uniform(18, 90, 400)})
    outcome = (frame["amount"] + (frame["age"] / 40 if age_counts else 1.2) > 1.5).astype(int)
    path = folder / f"model-{age_counts}.pickle"
    path.write_bytes(pickle.dumps(LogisticRegression(C=0.1).fit(frame, outcome)))
    contents = BundleContents(
        project="small-fraud",
        task="binary",
        model_version="1",
        charter_version=1,
        charter_digest="c" * 64,
        table_version="7",
        features=FEATURES,
        model_path=path,
        golden_requests=make_golden_requests(pa.Table.from_pandas(frame), FEATURES),
        classes=("no", "yes"),
        reference={"features": {n: as_json(profile_numbers(frame[n].to_numpy())) for n in ("amount", "age")}},
        cutoff=0.4,
    )
    made = package(contents, into=folder / "bundles", signing_key=key)
    return open_bundle(made.path, trusted_keys=[public_key_path(key)])


def document_of(**charter: Any) -> dict[str, Any]:
    """Return the policy of the small charter with changes."""
    project = parse_project(PROJECT, folder=".")
    return policy_document(replace(project, charter=replace(project.charter, **charter)))


def seat(
    role: str = "champion", *, age_counts: bool = True, document: dict[str, Any] | None = None, **options: Any
) -> Seat:
    """Return the model in a role."""
    opened = model(age_counts=age_counts)
    assert isinstance(opened.answering, FastAnswers)
    taken: dict[str, Any] = {"predictor": opened.answering.predictor, **options}
    columns = PolicyColumns.of(document or document_of())
    return seat_of_bundle(opened.path, opened.manifest, role, columns=columns, most_rows=50, **taken)


def loadout(
    champion: Seat | None = None,
    others: Sequence[Seat] = (),
    *,
    document: dict[str, Any] | None = None,
    tokens: TokenCounter | None = None,
    **options: Any,
) -> Loadout:
    """Return a loadout of the small charter: three cases a day, first come, first served."""
    taken = document or document_of()
    policy = DecisionPolicy.from_document(taken)
    decider = StreamDecider(Terms.of(policy), pace=None, tokens=tokens or MemoryTokens())
    return Loadout(
        champion or seat(document=taken),
        policy=policy,
        decider=decider,
        columns=PolicyColumns.of(taken),
        others=others,
        **options,
    )


def answerer(given: Loadout | None = None, **options: Any) -> Answerer:
    """Return an answerer whose clock goes on by a millisecond each time it is read."""
    ticks = itertools.count(0, 1_000_000)
    return Answerer(given or loadout(), mint=IdMint(random=Random(1).randbytes), ticks=lambda: next(ticks), **options)


def request(*rows: dict[str, Any], **envelope: Any) -> bytes:
    """Return the body of a request."""
    return json.dumps({"rows": rows, **envelope}).encode()


def ask(asked: Answerer, *rows: dict[str, Any], **envelope: Any) -> Reply:
    """Return the answer at noon."""
    return asked.answer(request(*rows, **envelope), caller="tests", now=NOON, started_ns=0)


def told(reply: Reply) -> list[dict[str, Any]]:
    """Return the predictions of an answer that must be good."""
    assert reply.status == 200, reply.body
    predictions: list[dict[str, Any]] = json.loads(reply.body)["predictions"]
    return predictions


def record(reply: Reply) -> PredictionRecord:
    """Return what must be in the log before the answer leaves."""
    assert reply.frame is not None
    found = decode_record(reply.frame)
    assert isinstance(found, PredictionRecord)
    return found


def first(reply: Reply) -> DecidedRow:
    """Return the first recorded row."""
    return record(reply).rows[0]


def error(reply: Reply) -> dict[str, Any]:
    """Return what a refused caller is told."""
    assert reply.frame is None
    found: dict[str, Any] = msgspec.json.decode(reply.body)
    return found
