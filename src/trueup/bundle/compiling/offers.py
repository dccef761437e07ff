"""Which fast ways of answering can be made of a trained model? Each is an offer; nothing about it is proven yet.

Runs in the process that holds the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from trueup.bundle.candidates import Offer
from trueup.bundle.compiling.model import CompiledModel, compile_model
from trueup.bundle.compiling.onnx_model import convert_to_onnx
from trueup.bundle.compiling.parts import Compiled, NotCompiled
from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.decoder import Decoder
from trueup.bundle.predictors.predictor import FORMAT
from trueup.bundle.served import Kind
from trueup.kernel.errors import TrueupError

_MOST_TRIED = 100
"""Rows, about, on which a part that stays in Python is tried."""
_MOST_SAID = 100
"""Characters of a converter's message that are told."""


def make_offers(
    model: Any, features: Sequence[FeatureSpec], *, task: str, n_classes: int, requests: Sequence[bytes] = ()
) -> tuple[Offer, ...]:
    """Return an offer of each kind for a model; one that cannot be made says why.

    Parameters
    ----------
    model : object
        The fitted estimator, as a bundle carries it.
    features : sequence of FeatureSpec
        The columns of the frame it takes.
    task : str
        binary, multiclass or regression.
    n_classes : int
        Number of classes; not used for regression.
    requests : sequence of bytes
        Requests on which parts are tried that stay in Python; without any the whole model compiles or does not.
    """
    texts = [f.name for f in features if f.kind == "text"]
    if texts:
        return (Offer("compiled", why_not=f'"{texts[0]}" is free text, which no number stands for'),)
    compiled = _offer("compiled", lambda: _compiled(compile_model(model, features, task=task, n_classes=n_classes)))
    onnx = _offer(
        "onnx", lambda: _converted(convert_to_onnx(model, features, task=task), task=task, n_classes=n_classes)
    )
    if compiled.plan is not None or not requests:
        return compiled, onnx
    rows = Decoder(features).decode_many(b"[" + b",".join(_spread(requests)) + b"]")
    in_part = partial(compile_model, model, features, task=task, n_classes=n_classes, tried_on=rows)
    return compiled, onnx, _offer("hybrid", lambda: _hybrid(in_part()))


def _spread(requests: Sequence[bytes]) -> Sequence[bytes]:
    """Return some of the requests, evenly: real rows stand first, edge rows last."""
    return requests[:: max(1, len(requests) // _MOST_TRIED)]


def _compiled(made: CompiledModel) -> Offer:
    parts = _told(made)
    if made.document is None or parts:
        return Offer("compiled", slow_parts=parts, why_not="; ".join(parts))
    return Offer("compiled", made.document, made.files)


def _hybrid(made: CompiledModel) -> Offer:
    parts = _told(made)
    if made.document is None:
        return Offer("hybrid", slow_parts=parts, why_not="; ".join(parts))
    return Offer("hybrid", made.document, made.files, parts)


def _told(made: CompiledModel) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{slow.part}: {slow.reason}" for slow in made.slow_parts))


def _converted(made: Compiled | NotCompiled, *, task: str, n_classes: int) -> Offer:
    if isinstance(made, NotCompiled):
        return Offer("onnx", why_not=f"{made.part}: {made.reason}")
    outputs = n_classes if task == "multiclass" else 1
    return Offer("onnx", {"format": FORMAT, "stages": list(made.stages), "outputs": outputs}, made.files)


def _offer(kind: Kind, make: Callable[[], Offer]) -> Offer:
    try:
        return make()
    except TrueupError as error:
        return Offer(kind, why_not=error.message)
    except Exception as error:  # noqa: BLE001 - a converter is foreign code, and so is the model: told, not raised
        said = str(error).strip().partition("\n")[0][:_MOST_SAID]
        return Offer(kind, why_not=f"the conversion raised {type(error).__name__}: {said}")
