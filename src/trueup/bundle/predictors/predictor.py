"""How does a compiled predictor answer? Request bytes, decoder, stages, score; no pickle and no data frame.

A predictor is a chain of stages. Each takes a vector of float64 (or a matrix, one row each) and gives another; the last
one's numbers are the answer: the score, for several classes one for each. What a stage is stands in the predictor's
document; its files stand beside it in ``predictor/``. One row and many rows give the same bits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.errors import BadManifest
from trueup.bundle.features import FeatureSpec
from trueup.bundle.layout import PLAN
from trueup.bundle.predictors.decoder import Decoder

Numbers = NDArray[np.float64]
FORMAT = 1


class Stage(Protocol):
    """One link of the chain."""

    def one(self, row: Numbers, /) -> Numbers:
        """Return the numbers of one row, from shape (k,) to (m,)."""

    def many(self, matrix: Numbers, /) -> Numbers:
        """Return the numbers of many rows, from shape (n, k) to (n, m)."""


Opener = Callable[[Mapping[str, Any], Mapping[str, bytes]], Stage]


class Predictor:
    """A compiled model, ready to answer.

    Parameters
    ----------
    features : sequence of FeatureSpec
        Inputs, in order.
    stages : sequence of Stage
        The chain, first to last.
    outputs : int
        Numbers in an answer.
    """

    def __init__(self, features: Sequence[FeatureSpec], stages: Sequence[Stage], *, outputs: int) -> None:
        self._decoder = Decoder(features)
        self._stages = tuple(stages)
        self._outputs = outputs

    def score_request(self, content: bytes) -> tuple[float, ...]:
        """Return the answer to one request, a JSON object.

        Raises
        ------
        RowBreaksSchema
            When the request lacks a feature or has a value of the wrong type.
        """
        return tuple(self.score_row(self._decoder.decode(content)).tolist())

    def score_row(self, row: Numbers) -> Numbers:
        """Return the answer, shape (outputs,), to a decoded row, shape (n_features,)."""
        for stage in self._stages:
            row = stage.one(row)
        return row

    def score_rows(self, matrix: Numbers) -> Numbers:
        """Return the answers, shape (n, outputs), to decoded rows, shape (n, n_features)."""
        if not len(matrix):
            return np.empty((0, self._outputs))
        for stage in self._stages:
            matrix = stage.many(matrix)
        return matrix

    @property
    def decoder(self) -> Decoder:
        """Return what reads its requests."""
        return self._decoder


class TakeColumns:
    """Keeps some of the numbers, in another order: the last stage for a model of two classes keeps the second."""

    def __init__(self, places: Sequence[int]) -> None:
        self._places = np.array(places, dtype=np.int64)

    def one(self, row: Numbers) -> Numbers:
        """Return the chosen numbers of a row."""
        return np.asarray(row[self._places])

    def many(self, matrix: Numbers) -> Numbers:
        """Return the chosen columns."""
        return np.asarray(matrix[:, self._places])


def parse_plan(content: bytes) -> dict[str, Any]:
    """Return the document of a predictor.

    Raises
    ------
    BadManifest
        When it is none, or of a format this version does not read.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadManifest(f"{PLAN} is refused: it is no JSON text in UTF-8") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BadManifest(f"{PLAN} is refused: this version of Trueup reads format {FORMAT}")
    if not isinstance(document.get("stages"), list) or not isinstance(document.get("outputs"), int):
        raise BadManifest(f"{PLAN} is refused: it must hold a list of stages and the number of outputs")
    return document


def open_predictor(
    document: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    features: Sequence[FeatureSpec],
    openers: Mapping[str, Opener],
) -> Predictor:
    """Return the predictor that a document and its files describe.

    Parameters
    ----------
    document : mapping
        From `parse_plan`.
    files : mapping
        Content of its files by their name.
    features : sequence of FeatureSpec
        The bundle's schema.
    openers : mapping
        What opens each kind of stage.

    Raises
    ------
    BadManifest
        When a stage is of no known kind, or cannot be opened.
    """
    stages = []
    for place, stage in enumerate(document["stages"]):
        kind = str(stage.get("kind")) if isinstance(stage, dict) else ""
        if kind not in openers:
            raise BadManifest(f"{PLAN} is refused: stage {place} is of no known kind", stage=place)
        try:
            stages.append(openers[kind](stage, files))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BadManifest(f"{PLAN} is refused: stage {place} ({kind}) cannot be opened", stage=place) from error
    return Predictor(features, stages, outputs=document["outputs"])
