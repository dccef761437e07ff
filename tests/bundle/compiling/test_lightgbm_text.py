"""Trees written as text come back from LightGBM's library with every bit, in whatever order their nodes lie."""

from __future__ import annotations

import dataclasses
import math

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from trueup.bundle.compiling.lightgbm_text import Ensemble, model_text
from trueup.bundle.compiling.tree_nodes import LEAF, Nodes
from trueup.bundle.predictors.trees import LightgbmTrees

finite = st.floats(allow_nan=False, allow_infinity=False)
apart_from_zero = finite.filter(lambda number: abs(number) > 1e-34)


def stump(*, threshold: float, left: float, right: float, chosen: tuple[int, ...] | None = None) -> Nodes:
    return Nodes(
        left=np.array([1, LEAF, LEAF]),
        right=np.array([2, LEAF, LEAF]),
        feature=np.zeros(3, dtype=np.int64),
        threshold=np.array([threshold, 0.0, 0.0]),
        missing_left=np.array([True, False, False]),
        value=np.array([0.0, left, right]),
        weight=np.ones(3),
        chosen={} if chosen is None else {0: chosen},
    )


def opened(ensemble: Ensemble) -> LightgbmTrees:
    return LightgbmTrees(model_text(ensemble), inputs=ensemble.inputs, outputs=ensemble.outputs)


@settings(deadline=None)
@given(apart_from_zero, finite, finite)
def test_thresholds_and_leaves_keep_their_bits(threshold: float, left: float, right: float) -> None:
    stage = opened(Ensemble([stump(threshold=threshold, left=left, right=right)], inputs=1))
    above, below = math.nextafter(threshold, math.inf), math.nextafter(threshold, -math.inf)
    found = stage.many(np.array([[threshold], [above], [below], [math.nan]]))[:, 0]
    assert found.tolist() == [left, right, left, left]


def test_categories_go_left_when_chosen_and_right_when_unknown_or_missing() -> None:
    tree = stump(threshold=0.0, left=1.0, right=2.0, chosen=(0, 31, 32, 70))
    rows = np.array([[0.0], [31.0], [32.0], [70.0], [1.0], [33.0], [71.0], [5000.0], [np.nan]])
    assert opened(Ensemble([tree], inputs=1)).many(rows)[:, 0].tolist() == [1.0] * 4 + [2.0] * 5


def test_no_chosen_category_sends_all_right() -> None:
    tree = stump(threshold=0.0, left=1.0, right=2.0, chosen=())
    assert opened(Ensemble([tree], inputs=1)).many(np.array([[0.0], [1.0], [np.nan]]))[:, 0].tolist() == [2.0] * 3


def test_a_mean_and_a_sum_are_taken_over_rounds_for_each_number_of_the_answer() -> None:
    leaves = (1.0, 10.0, 3.0, 30.0)
    trees = [stump(threshold=1.0, left=leaf, right=-leaf) for leaf in leaves]
    row = np.array([[0.0], [2.0]])
    assert opened(Ensemble(trees, inputs=1, outputs=2)).many(row).tolist() == [[4.0, 40.0], [-4.0, -40.0]]
    mean = opened(Ensemble(trees, inputs=1, outputs=2, average=True)).many(row)
    assert mean.tolist() == [[2.0, 20.0], [-2.0, -20.0]]


def test_nodes_that_share_a_leaf_are_written_once() -> None:
    shared = Nodes(  # number 0 at most 1 and number 1 at most 1: 5; else 7, one leaf for both ways there
        left=np.array([1, 2, LEAF, LEAF]),
        right=np.array([3, 3, LEAF, LEAF]),
        feature=np.array([0, 1, 0, 0]),
        threshold=np.ones(4),
        missing_left=np.zeros(4, dtype=bool),
        value=np.array([0.0, 0.0, 5.0, 7.0]),
        weight=np.ones(4),
    )
    rows = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [np.nan, 0.0]])
    assert opened(Ensemble([shared], inputs=2)).many(rows)[:, 0].tolist() == [5.0, 7.0, 7.0, 7.0]


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 300), st.integers(0, 10**6))
def test_the_order_of_nodes_in_memory_changes_no_answer(leaves: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree = random_tree(leaves, rng)
    heavy = dataclasses.replace(tree, weight=rng.random(len(tree.left)))
    rows = rng.random((200, 3))
    expected = [walked(tree, row) for row in rows.tolist()]
    for nodes in (tree, heavy):
        assert opened(Ensemble([nodes], inputs=3)).many(rows)[:, 0].tolist() == expected


def random_tree(leaves: int, rng: np.random.Generator) -> Nodes:
    """Return a tree grown by splitting a random leaf until it has so many."""
    left, right, open_leaves = [LEAF], [LEAF], [0]
    while len(open_leaves) < leaves:
        node = open_leaves.pop(int(rng.integers(len(open_leaves))))
        left[node], right[node] = len(left), len(left) + 1
        open_leaves += [left[node], right[node]]
        left += [LEAF, LEAF]
        right += [LEAF, LEAF]
    count = len(left)
    return Nodes(
        left=np.array(left),
        right=np.array(right),
        feature=rng.integers(0, 3, count),
        threshold=rng.random(count),
        missing_left=rng.random(count) < 0.5,
        value=rng.normal(size=count),
        weight=np.ones(count),
    )


def walked(nodes: Nodes, row: list[float]) -> float:
    """Return a tree's answer, followed node by node."""
    node = 0
    while nodes.left[node] != LEAF:
        goes_left = row[int(nodes.feature[node])] <= nodes.threshold[node]
        node = int(nodes.left[node] if goes_left else nodes.right[node])
    return float(nodes.value[node])
