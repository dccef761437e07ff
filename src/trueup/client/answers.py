"""What does a server answer? Frozen records of its JSON; entries that are new to this version are ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

Decision = bool | float | str
Score = float | Mapping[str, float] | None


class Reason(msgspec.Struct, frozen=True):
    """One feature that moved a score."""

    feature: str
    effect: float
    """By how much the score would change if the feature were as usual."""


class Prediction(msgspec.Struct, frozen=True):
    """One decided row."""

    prediction_id: str
    association_id: str | None
    score: Score
    """By class where there are several; None when no model answered."""
    decision: Decision
    """Whether to act; the predicted number or class where those are predicted."""
    decision_by: str
    """champion, canary, control, exploration or fallback."""
    reason: str
    qualifies: bool
    """Worth acting on, before capacity."""
    model_version: str
    policy_version: str
    missing: str | None = None
    """The first field that the row lacks, where the fallback decided for that."""
    reasons: tuple[Reason, ...] | None = None
    """The largest effect first; None where nobody asked, or the model cannot be asked."""


class Predictions(msgspec.Struct, frozen=True):
    """The answer to a request, in the order of its rows. It can be iterated and indexed."""

    predictions: tuple[Prediction, ...]

    def __len__(self) -> int:
        return len(self.predictions)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)

    def __getitem__(self, place: int) -> Prediction:
        return self.predictions[place]


class Recorded(msgspec.Struct, frozen=True):
    """Facts that are in the log."""

    recorded: int
    fact_ids: tuple[str, ...]


class TensorSpec(msgspec.Struct, frozen=True):
    """A tensor that a model takes or gives."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Model(msgspec.Struct, frozen=True):
    """What a project's model is now."""

    name: str
    versions: tuple[str, ...]
    """Digest of the champion."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Tensor(msgspec.Struct, frozen=True):
    """Values of the Open Inference Protocol."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: tuple[Any, ...]


class Inference(msgspec.Struct, frozen=True):
    """The answer of the Open Inference Protocol."""

    model_name: str
    model_version: str
    outputs: tuple[Tensor, ...]

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        """Return the values of an output."""
        return next(output.data for output in self.outputs if output.name == name)


class Health(msgspec.Struct, frozen=True):
    """How a server is."""

    live: bool
    """It answers."""
    ready: bool
    """It may be sent requests."""
