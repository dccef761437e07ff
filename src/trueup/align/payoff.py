"""What is a decision worth? The gain of acting on a case, and what a decision really paid.

Payoffs come as an array of shape (n_cases, 4): true positive, false positive, false negative, true negative, in the
charter's currency, already evaluated per row. With ``action = "prevents"`` an action on a would-be positive case works
in the signed share of cases (`success_share`); where it does not, the loss of the missed positive stays and acting
costs what it costs on a negative case::

    acted positive = s * true_positive + (1 - s) * (false_negative + false_positive - true_negative)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from trueup.align.charter import ActionKind, Charter

Array = NDArray[np.float64]
TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_NEGATIVE = range(4)


@dataclass(frozen=True)
class ActionEffect:
    """What acting does to a positive case: reveals it, or prevents it in a share of cases."""

    action: ActionKind = "reveals"
    success_share: float = 1.0

    @classmethod
    def of(cls, charter: Charter) -> ActionEffect:
        """Return the effect the charter signs."""
        share = charter.success_share if charter.action == "prevents" and charter.success_share is not None else 1.0
        return cls(charter.action, share)


def acted_positive_payoff(payoffs: Array, effect: ActionEffect) -> Array:
    """Return the payoff of acting on each case if its outcome were positive; shape (n_cases,)."""
    saved = payoffs[:, TRUE_POSITIVE]
    if effect.action == "reveals":
        return np.asarray(saved, dtype=np.float64)
    lost = payoffs[:, FALSE_NEGATIVE] + payoffs[:, FALSE_POSITIVE] - payoffs[:, TRUE_NEGATIVE]
    return effect.success_share * saved + (1.0 - effect.success_share) * lost


def expected_gain(score: Array, payoffs: Array, *, effect: ActionEffect) -> Array:
    """Return the expected payoff if acted minus the expected payoff if not, per case, in the currency.

    Parameters
    ----------
    score : ndarray of float, shape (n_cases,)
        Probability of the positive outcome if nobody acts, 0 to 1.
    payoffs : ndarray of float, shape (n_cases, 4)
    effect : ActionEffect
    """
    if_positive = acted_positive_payoff(payoffs, effect) - payoffs[:, FALSE_NEGATIVE]
    if_negative = payoffs[:, FALSE_POSITIVE] - payoffs[:, TRUE_NEGATIVE]
    return score * if_positive + (1.0 - score) * if_negative


def realised_payoff(acted: NDArray[np.bool_], outcome: Array, payoffs: Array, *, effect: ActionEffect) -> Array:
    """Return what each decision paid, given the outcome the case has when nobody acts.

    NaN where the outcome is not known. With `prevents` an acted positive case counts its expected payoff under the
    signed `success_share`, so that the figure carries no luck of its own.
    """
    positive = outcome == 1.0
    when_acted = np.where(positive, acted_positive_payoff(payoffs, effect), payoffs[:, FALSE_POSITIVE])
    when_not = np.where(positive, payoffs[:, FALSE_NEGATIVE], payoffs[:, TRUE_NEGATIVE])
    paid = np.where(acted, when_acted, when_not)
    return np.where(np.isnan(outcome), np.nan, paid)


def best_class(scores: Array, class_payoffs: Array) -> tuple[NDArray[np.int64], Array]:
    """Return for each case the class with the largest expected payoff, and that payoff.

    Parameters
    ----------
    scores : ndarray of float, shape (n_cases, n_classes)
        Probability of each outcome.
    class_payoffs : ndarray of float, shape (n_cases, n_classes, n_classes)
        Payoff of predicting class ``i`` when the outcome is class ``j``, at ``[case, i, j]``.
    """
    expected = np.einsum("nj,nij->ni", scores, class_payoffs)
    chosen = np.argmax(expected, axis=1)
    return chosen.astype(np.int64), expected[np.arange(len(chosen)), chosen]
