"""How are trees written as LightGBM's model text? Every number with the digits that give its very bits.

The format is that of LightGBM's ``Tree::ToString`` and ``GBDT::SaveModelToString`` (version v4), with the fields its
reader needs. A node's ``decision_type`` has bit 0 for categories, bit 1 for missing to the left, and 8 for NaN as the
mark of missing. A child is the number of a node, or ``-(leaf + 1)``.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trueup.bundle.compiling.tree_nodes import LEAF, Nodes, Places

_MISSING_IS_NAN, _MISSING_LEFT, _CATEGORICAL = 8, 2, 1
_BLOCK = 16
"""Nodes that lie together; 16 thresholds are two cache lines. Measured in `benchmarks.predicting`."""
_WORD = 32


@dataclass(frozen=True)
class Ensemble:
    """Trees and how their answers become one."""

    trees: Sequence[Nodes]
    """One round after another, in a round one tree for each number of the answer."""
    inputs: int
    outputs: int = 1
    objective: str = ""
    """LightGBM's objective, which names the link from the sum to the answer; empty: the sum itself."""
    average: bool = False
    """Whether the answer is the mean of the rounds, not their sum."""


def model_text(ensemble: Ensemble) -> bytes:
    """Return the model as text that LightGBM opens."""
    trees = [f"Tree={number}\n{_tree_text(nodes)}" for number, nodes in enumerate(ensemble.trees)]
    head = [
        "tree",
        "version=v4",
        f"num_class={ensemble.outputs}",
        f"num_tree_per_iteration={ensemble.outputs}",
        "label_index=0",
        f"max_feature_idx={ensemble.inputs - 1}",
        *([f"objective={ensemble.objective}"] if ensemble.objective else []),
        *(["average_output"] if ensemble.average else []),
        f"feature_names={' '.join(f'c{place}' for place in range(ensemble.inputs))}",
        f"feature_infos={' '.join(['none'] * ensemble.inputs)}",
        f"tree_sizes={' '.join(str(len(tree)) for tree in trees)}",
        "\n",
    ]
    return ("\n".join(head) + "".join(trees) + "end of trees\n\npandas_categorical:null\n").encode("ascii")


def _tree_text(nodes: Nodes) -> str:
    order = _order(nodes)
    if not len(order):
        return f"num_leaves=1\nnum_cat=0\nleaf_value={float(nodes.value[0])!r}\nis_linear=0\nshrinkage=1\n\n"
    place = np.zeros(len(nodes.left), dtype=np.int64)
    place[order] = np.arange(len(order))
    children = np.stack([nodes.left[order], nodes.right[order]], axis=1).ravel()
    leaves = children[nodes.left[children] == LEAF]
    leaves = leaves[np.sort(np.unique(leaves, return_index=True)[1])]  # as they are met, each once
    place[leaves] = -1 - np.arange(len(leaves))
    values = np.zeros(len(order) + 1)  # LightGBM reads one leaf more than nodes; where nodes share a leaf, some idle
    values[: len(leaves)] = nodes.value[leaves]
    kinds = _MISSING_IS_NAN + _MISSING_LEFT * nodes.missing_left[order].astype(np.int64)
    thresholds = nodes.threshold[order].tolist()
    bounds, words = [0], list[int]()
    for node, positions in sorted(nodes.chosen.items(), key=lambda item: place[item[0]]):
        kinds[place[node]] = _MISSING_IS_NAN | _CATEGORICAL
        thresholds[place[node]] = len(bounds) - 1
        words += _bits(positions)
        bounds.append(len(words))
    fields = {
        "num_leaves": [len(values)],
        "num_cat": [len(bounds) - 1],
        "split_feature": nodes.feature[order].tolist(),
        "threshold": thresholds,
        "decision_type": kinds.tolist(),
        "left_child": place[nodes.left[order]].tolist(),
        "right_child": place[nodes.right[order]].tolist(),
        "leaf_value": values.tolist(),
        **({"cat_boundaries": bounds, "cat_threshold": words} if words else {}),
        "is_linear": [0],
        "shrinkage": [1],
    }
    return "".join(f"{name}={' '.join(map(repr, numbers))}\n" for name, numbers in fields.items()) + "\n"


def _order(nodes: Nodes) -> Places:
    """Return the inner nodes in blocks of those that are most often visited together, the root's first."""
    left, right, weight = nodes.left.tolist(), nodes.right.tolist(), nodes.weight.tolist()
    order: list[int] = []
    roots = [0] if left[0] != LEAF else []
    seen = set(roots)
    while roots:
        near = [(-weight[root], root) for root in (roots.pop(),)]
        for _ in range(_BLOCK):
            if not near:
                break
            node = heapq.heappop(near)[1]
            order.append(node)
            for child in (left[node], right[node]):
                if left[child] != LEAF and child not in seen:
                    seen.add(child)
                    heapq.heappush(near, (-weight[child], child))
        roots += [root for _, root in sorted(near, reverse=True)]
    return np.array(order, dtype=np.int64)


def _bits(positions: Sequence[int]) -> list[int]:
    words = [0] * (max(positions, default=0) // _WORD + 1)
    for position in positions:
        words[position // _WORD] |= 1 << (position % _WORD)
    return words
