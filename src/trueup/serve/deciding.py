"""What is decided for each row of a request? The model's answer is priced, or the signed fallback stands in for it.

All rows are priced before the first is decided: a row that cannot be priced refuses the request while no token of the
capacity is taken.
"""

from __future__ import annotations

import hashlib

from trueup.align.streaming import OLD_RULE
from trueup.lake.log_records import CONTROL, FALLBACK, DecidedRow
from trueup.serve.refusals import BadRow, NoDecision, bad_row
from trueup.serve.work import FAILURES, MISSING_FEATURES, Work

PREDICTED = "predicted"
"""Why a number or class was decided as it was: it is what the policy makes of the model's answer."""


def decide_rows(work: Work) -> list[DecidedRow]:
    """Return the decisions of a request whose models have answered or failed.

    Raises
    ------
    BadRow
        When a row lacks what the model needs, and no fallback can decide it.
    NoDecision
        When a model failed, and the charter signs no fallback.
    BadRowValue
        When the policy cannot read a value.
    """
    if work.failures:
        _refuse_undecidable(work)
    if work.loadout.policy.task == "binary":
        return _decide_actions(work)
    return [_decide_value(work, row) for row in range(len(work.seats))]


def _refuse_undecidable(work: Work) -> None:
    loadout, reader = work.loadout, work.loadout.champion.reader
    for row, why in work.failures.items():
        if loadout.has_fallback and reader.can_fall_back(work.columns[row]):
            continue
        if row in work.read.lacking:
            missing = work.read.lacking[row] if not loadout.has_fallback else reader.first_without(work.columns[row])
            raise bad_row(reader.lacks(row, missing))
        if why == MISSING_FEATURES:
            raise BadRow(
                f"row {row}: the model gives no score for this row, and the charter signs no fallback; send the values "
                "that are null where they are known",
                row=row,
            )
        raise NoDecision(
            f"no decision: {FAILURES[why]}, and the charter signs no fallback; try again, or have one signed", why=why
        )


def _decide_actions(work: Work) -> list[DecidedRow]:
    priced = [_priced(work, row) for row in range(len(work.seats))]
    return [_decided(work, row, one) for row, one in enumerate(priced)]


def _priced(work: Work, row: int) -> tuple[float | None, int | None, bool, bool]:
    """Return a row's expected gain and event time, and what the old rule and the fallback say where they are asked."""
    loadout, columns, output = work.loadout, work.columns[row], work.answers[row]
    policy = loadout.policy
    controlled = policy.control_group > 0.0 and loadout.decider.is_control(work.units[row])
    return (
        None if output is None else policy.gain(output[0], columns),
        policy.event_time(columns),
        bool(policy.baseline(columns)) if controlled else False,
        bool(policy.fallback(columns)) if output is None else False,
    )


def _decided(work: Work, row: int, priced: tuple[float | None, int | None, bool, bool]) -> DecidedRow:
    gain, time, baseline, acts = priced
    loadout, seat, unit = work.loadout, work.seats[row], work.units[row]
    named = token_name(work, row)
    if gain is None:
        decision = loadout.decider.fall_back(
            moment=work.moment,
            acts=acts,
            unit=unit,
            prediction_id=named,
            reason=f"fallback:{work.failures[row]}",
            baseline=baseline,
        )
    else:
        decision = loadout.decider.decide(
            moment=work.moment,
            gain=gain,
            unit=unit,
            prediction_id=named,
            baseline=baseline,
            role=seat.role,
            share=loadout.share_of(seat),
        )
    if work.asked.prediction_id is not None:
        decision = loadout.decider.standing(decision, named)
    acted, qualifies, role, reason, propensity, _ = decision
    answer = work.answers[row]
    return DecidedRow(
        row, work.ids[row], time, role, seat.digest, answer, gain, qualifies, acted, None, reason, propensity
    )


def token_name(work: Work, row: int) -> bytes:
    """Return under which name a row takes its token of the capacity, so that a retry takes no second one.

    An id of ours is never given twice. One the caller brought may come again with another case, or from another caller:
    each of these is a prediction of its own, and its token is named by the caller, the id, the row and the case; where
    the case has no name, by all the rows as they came.
    """
    numbered = work.prediction_id + row.to_bytes(4, "big")
    if work.asked.prediction_id is None:
        return numbered
    case = work.ids[row]
    caller = work.caller.encode()
    asked = b"case" + case.encode() if case is not None else b"rows" + work.asked.rows
    return hashlib.blake2b(numbered + len(caller).to_bytes(4, "big") + caller + asked, digest_size=16).digest()


def _decide_value(work: Work, row: int) -> DecidedRow:
    """Decide a row whose decision is a number or a class: nothing of the capacity is taken."""
    loadout, columns, seat = work.loadout, work.columns[row], work.seats[row]
    policy, output = loadout.policy, work.answers[row]
    chance = 1.0 - policy.control_group
    role, reason, propensity = seat.role, PREDICTED, chance * loadout.share_of(seat)
    predicted = policy.choose(output, columns) if output is not None else policy.fallback(columns)
    if output is None:
        role, reason, propensity = FALLBACK, f"fallback:{work.failures[row]}", chance
    if policy.control_group > 0 and loadout.decider.is_control(work.units[row]):
        said = policy.baseline(columns)
        if said is not None:
            role, reason, propensity, predicted = CONTROL, OLD_RULE, policy.control_group, said
    if predicted is None:
        raise NoDecision(f"no decision: row {row} has no score, and the fallback gives nothing for it", row=row)
    return DecidedRow(
        row=row,
        association_id=work.ids[row],
        event_time=policy.event_time(columns),
        role=role,
        model_version=seat.digest,
        scores=output,
        expected_gain=None,
        qualifies=False,
        acted=False,
        predicted=predicted,
        reason=reason,
        propensity=propensity,
    )
