"""What is a decision tree, whichever library grew it? Arrays of nodes, and the rewriting that keeps every answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
LEAF = -1
FLOAT32_OVERFLOW = 3.4028235677973366e38
"""The least size that rounds to infinity in float32: the largest float32 and half a unit in its last place."""
FLOAT32_UNDERFLOW = 2.0**-150
"""The largest size that rounds to zero in float32: half of the least one, a tie that goes to even."""


@dataclass(frozen=True)
class Nodes:
    """A binary tree; node 0 is its root.

    A row goes left where its number is at most the threshold, or its category among those chosen for the node.
    """

    left: Places
    """The left child, `LEAF` at a leaf."""
    right: Places
    feature: Places
    threshold: Floats
    missing_left: NDArray[np.bool_]
    """Where a missing number goes; a missing or unknown category always goes right."""
    value: Floats
    """The answer at a leaf."""
    weight: Floats
    """Training rows that came by; only the layout in memory follows them."""
    chosen: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Positions that go left, by node, where a node splits categories."""


@dataclass(frozen=True)
class Refusals:
    """Numbers that the original refuses: the compiled trees answer NaN."""

    columns: Sequence[int]
    missing: bool
    """Whether a missing number is refused."""
    size: float = FLOAT32_OVERFLOW
    """From which size on a number is refused."""


def float32_thresholds(thresholds: Floats) -> Floats:
    """Return for each threshold the largest float64 that is at most the threshold once rounded to float32.

    scikit-learn's trees round a row to float32 and compare it with a float64 threshold. With these thresholds a row
    needs no rounding. A number halfway between two float32 rounds to the even one.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        below = thresholds.astype(np.float32)
        below = np.where(below > thresholds, np.nextafter(below, np.float32(-np.inf)), below)
        above = np.nextafter(below, np.float32(np.inf)).astype(np.float64)
    above[np.isinf(above)] = 2.0**128
    halfway = (below.astype(np.float64) + above) / 2
    even = (below.view(np.uint32) & 1) == 0
    widened = np.where(even, halfway, np.nextafter(halfway, -np.inf))
    widened = np.where(below == 0, 0.0, widened)  # what rounds to zero is told from the rest by `Recoding`
    return np.where(np.isinf(thresholds), thresholds, widened)


def guarded(nodes: Nodes, refusals: Refusals) -> Nodes:
    """Return the tree with nodes before its root that answer NaN to what the original refuses.

    Notes
    -----
    Two nodes for each column, always taken the same way, so that the processor foresees them.
    """
    inside = math.nextafter(refusals.size, 0.0)
    count = 2 * len(refusals.columns)
    if not count:
        return nodes
    place = np.arange(count)
    upper = place % 2 == 0
    onward = place + 1  # the next guard, after the last one the root, which moves to `count`
    refused = count + len(nodes.left)
    moved = [np.where(child == LEAF, LEAF, child + count) for child in (nodes.left, nodes.right)]
    missing_left = upper & (not refusals.missing)
    return replace(
        nodes,
        left=np.concatenate([np.where(upper, onward, refused), moved[0], [LEAF]]),
        right=np.concatenate([np.where(upper, refused, onward), moved[1], [LEAF]]),
        feature=np.concatenate([np.repeat(np.asarray(refusals.columns), 2), nodes.feature, [0]]),
        threshold=np.concatenate([np.where(upper, inside, -refusals.size), nodes.threshold, [0.0]]),
        missing_left=np.concatenate([missing_left, nodes.missing_left, [False]]),
        value=np.concatenate([np.zeros(count), nodes.value, [math.nan]]),
        weight=np.concatenate([np.full(count, math.inf), nodes.weight, [0.0]]),
        chosen={node + count: positions for node, positions in nodes.chosen.items()},
    )


def sklearn_nodes(tree: Any, values: Floats) -> Nodes:
    """Return a scikit-learn ``Tree`` that compares in float64, with the given answer at each node."""
    return Nodes(
        left=tree.children_left.astype(np.int64),
        right=tree.children_right.astype(np.int64),
        feature=np.maximum(tree.feature, 0).astype(np.int64),
        threshold=float32_thresholds(tree.threshold),
        missing_left=tree.missing_go_to_left.astype(bool),
        value=values,
        weight=tree.weighted_n_node_samples,
    )
