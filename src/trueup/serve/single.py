"""How is the usual request answered with the least work? One row, one model in this process, nothing out of the way.

The same answer and the same record as `answering` gives by way of `Work`, byte for byte (a property test holds that),
in a third of the steps. Whatever is unusual (several rows, a canary, a shadow, a missing field, a model that fails) is
left to the general way: nothing was decided and no token taken by then.
"""

from __future__ import annotations

import math

from trueup.kernel.rowvalues import BadRowValue
from trueup.lake.log_records import DecidedRow
from trueup.serve.loadout import Loadout
from trueup.serve.refusals import BadRow
from trueup.serve.row_requests import Asked, Columns, Numbers

_FIRST_ROW = bytes(4)


def is_usual(loadout: Loadout) -> bool:
    """Return whether requests of one row can be answered this way under a loadout."""
    return (
        loadout.policy.task == "binary"
        and loadout.champion.predictor is not None
        and not loadout.canaries
        and not loadout.shadows
        and not loadout.paused
    )


def score_single(loadout: Loadout, numbers: Numbers) -> float | None:
    """Return the score of a row; None where the model fails or gives none."""
    predictor = loadout.champion.predictor
    if predictor is None:
        return None
    try:
        score = predictor.score_row(numbers)
    except Exception:  # noqa: BLE001  # the general way asks again, counts the failure, and falls back
        return None
    value = score.item() if score.shape == (1,) else math.nan
    return value if math.isfinite(value) else None


def decide_single(
    loadout: Loadout, score: float, columns: Columns, *, prediction_id: bytes, moment: int, asked: Asked
) -> DecidedRow:
    """Return what is decided for the row.

    Raises
    ------
    BadRow
        When the policy cannot read a value.
    """
    policy, decider, seat = loadout.policy, loadout.decider, loadout.champion
    name = policy.association_of(columns) if asked.association_ids is None else asked.association_ids[0]
    try:
        gain, time = policy.gain(score, columns), policy.event_time(columns)
        unit, baseline = 0, False
        if loadout.draws:
            unit = policy.unit_hash(f"{prediction_id.hex()}:0" if name is None else name)
            if policy.control_group > 0.0 and decider.is_control(unit):
                baseline = bool(policy.baseline(columns))
    except BadRowValue as error:
        raise BadRow(f"a row cannot be decided: {error.message}") from None
    acted, qualifies, role, reason, propensity, _ = decider.decide(
        moment=moment,
        gain=gain,
        unit=unit,
        prediction_id=prediction_id + _FIRST_ROW,
        baseline=baseline,
        role=seat.role,
        share=loadout.champion_share,
    )
    return DecidedRow(0, name, time, role, seat.digest, (score,), gain, qualifies, acted, None, reason, propensity)
