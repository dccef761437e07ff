"""CLIENT: how does a Python program ask a prediction server, and tell it what came of a case?

This room asks over HTTP, again where that is safe, and never so that a case is decided twice: every prediction and
every fact has an id from the start, and each attempt sends the same bytes. It knows nothing of models and charters, and
imports nothing heavier than httpx and msgspec.
"""

from trueup.client.answers import (
    Health,
    Inference,
    Model,
    Prediction,
    Predictions,
    Reason,
    Recorded,
    Tensor,
    TensorSpec,
)
from trueup.client.asynchronous import AsyncClient, AsyncOutcomeBatch
from trueup.client.batching import RefusedOutcome
from trueup.client.blocking import Client, OutcomeBatch
from trueup.client.errors import (
    BadAnswer,
    BadUrl,
    BatchFull,
    ClientError,
    NoProject,
    NotAllowed,
    NotReachable,
    NotSent,
    Refused,
    Unavailable,
)
from trueup.client.facts import Event, Intervention, Outcome, Verdict
from trueup.client.retrying import RetryPolicy

__all__ = [
    "AsyncClient",
    "AsyncOutcomeBatch",
    "BadAnswer",
    "BadUrl",
    "BatchFull",
    "Client",
    "ClientError",
    "Event",
    "Health",
    "Inference",
    "Intervention",
    "Model",
    "NoProject",
    "NotAllowed",
    "NotReachable",
    "NotSent",
    "Outcome",
    "OutcomeBatch",
    "Prediction",
    "Predictions",
    "Reason",
    "Recorded",
    "Refused",
    "RefusedOutcome",
    "RetryPolicy",
    "Tensor",
    "TensorSpec",
    "Unavailable",
    "Verdict",
]
