"""What can an instruction of a program do to the numbers of a row? Every kind, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trueup.bundle.predictors.arithmetic import (
    Arithmetic,
    Between,
    Choose,
    Constant,
    Fill,
    Function,
    Linear,
    Missing,
    Reduce,
    Refuse,
    Rounded,
    Take,
    Whole,
)
from trueup.bundle.predictors.categories import Hot, Lookup, Positions
from trueup.bundle.predictors.curves import Bins, Interpolate, Quantile, YeoJohnson
from trueup.bundle.predictors.spans import Document, Instruction

INSTRUCTIONS: Mapping[str, Callable[[Document, int], Instruction]] = {
    "take": Take,
    "constant": Constant,
    "arithmetic": Arithmetic,
    "between": Between,
    "choose": Choose,
    "function": Function,
    "fill": Fill,
    "missing": Missing,
    "refuse": Refuse,
    "whole": Whole,
    "rounded": Rounded,
    "positions": Positions,
    "bins": Bins,
    "interpolate": Interpolate,
    "lookup": Lookup,
    "hot": Hot,
    "linear": Linear,
    "reduce": Reduce,
    "quantile": Quantile,
    "yeo_johnson": YeoJohnson,
}
"""Every kind, by the name it has in a document."""
