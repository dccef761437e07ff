"""What servers should do changes only as agreed: one champion, a way back, no capacity without a signature."""

from __future__ import annotations

import msgspec
import pytest

from trueup.lake.desired_state import BundleRole, DesiredState, token_digest
from trueup.release.serving import (
    CapacityRaised,
    NotServed,
    NoWayBack,
    TokenTaken,
    lowered,
    rolled_back,
    with_canary,
    with_champion,
    with_shadow,
    with_token,
    without,
    without_token,
)

SIGNED = {"cases": 300, "per": "month"}
OLD, NEW, THIRD = "a" * 64, "b" * 64, "c" * 64
STATE = DesiredState(project="fraud", version=1, bundles=(BundleRole(OLD, "champion"),))


def roles(state: DesiredState) -> dict[str, str]:
    return {role.digest[0]: role.role for role in state.bundles}


def test_a_canary_that_becomes_champion_is_no_canary_any_more_and_a_shadow_stays() -> None:
    state = with_shadow(with_canary(STATE, NEW, share=0.1), THIRD, share=0.5)
    assert roles(state) == {"a": "champion", "b": "canary", "c": "shadow"}
    assert roles(with_champion(state, NEW, pace=None)) == {"b": "champion", "c": "shadow"}


def test_a_canary_keeps_its_cases_when_its_share_grows_and_the_next_one_draws_anew() -> None:
    first = with_canary(STATE, NEW, share=0.1)
    grown = with_canary(first, NEW, share=0.5)
    other = with_canary(grown, THIRD, share=0.1)
    assert (first.salt, grown.salt, other.salt) == (1, 1, 2)
    assert roles(other) == {"a": "champion", "c": "canary"}


def test_going_back_brings_the_last_other_champion_and_its_pace_and_keeps_what_people_said_since() -> None:
    before = msgspec.structs.replace(STATE, pace={"old": 1})
    now = with_champion(before, NEW, pace={"new": 1})
    now = with_token(
        lowered(with_canary(now, THIRD, share=0.2), 5, signed=SIGNED), "crm", "secret", scopes=("predict",)
    )
    back = rolled_back(now, [with_champion(before, NEW, pace=None), before])
    assert roles(back) == {"a": "champion"}
    assert (back.pace, back.capacity, [grant.name for grant in back.tokens]) == ({"old": 1}, 5, ["crm"])


def champions(*digests: str) -> list[DesiredState]:
    """Return states in which one after the other was named champion, oldest first."""
    states = [msgspec.structs.replace(STATE, bundles=(BundleRole(digests[0], "champion"),))]
    for digest in digests[1:]:
        states.append(with_champion(states[-1], digest, pace=None))
    return states


def test_a_second_rollback_goes_a_step_further_back_and_never_to_what_was_taken_back() -> None:
    history = champions(OLD, NEW, THIRD)
    for expected in (NEW, OLD):
        history.append(rolled_back(history[-1], history[-2::-1]))
        assert history[-1].champion.digest == expected
    with pytest.raises(NoWayBack, match=f"from {NEW[:12]} to {OLD[:12]} already.*trueup serving pause"):
        rolled_back(history[-1], history[-2::-1])


def test_two_people_in_one_incident_do_not_undo_each_other() -> None:
    first, bad = champions(OLD, NEW)
    back = rolled_back(bad, [first])
    with pytest.raises(NoWayBack, match="no other champion before"):
        rolled_back(back, [bad, first])
    later = with_champion(back, THIRD, pace=None)
    assert rolled_back(later, [back, bad, first]).champion.digest == OLD


def test_a_bundle_that_was_taken_back_and_named_again_is_one_to_go_back_to() -> None:
    first, bad = champions(OLD, NEW)
    back = rolled_back(bad, [first])
    mended = with_champion(back, NEW, pace=None)
    third = with_champion(mended, THIRD, pace=None)
    assert rolled_back(third, [mended, back, bad, first]).champion.digest == NEW


def test_without_another_champion_there_is_no_way_back() -> None:
    with pytest.raises(NoWayBack, match="pause"):
        rolled_back(STATE, [STATE])


def test_the_champion_cannot_be_taken_out_nor_what_is_not_there() -> None:
    with pytest.raises(NotServed, match="champion"):
        without(STATE, OLD)
    with pytest.raises(NotServed, match="not among"):
        without(STATE, NEW)
    assert without(with_shadow(STATE, NEW, share=1.0), NEW) == STATE


@pytest.mark.parametrize("cases", [0, 299, 300, None])
def test_an_operator_lowers_the_capacity_and_lifts_that_again(cases: int | None) -> None:
    assert lowered(STATE, cases, signed=SIGNED).capacity == cases


def test_no_operator_raises_the_capacity_or_begins_one() -> None:
    with pytest.raises(CapacityRaised, match="300 cases a month"):
        lowered(STATE, 301, signed=SIGNED)
    with pytest.raises(CapacityRaised, match="no limit"):
        lowered(STATE, 10, signed=None)


def test_of_a_token_only_the_digest_is_kept_and_its_name_is_used_once() -> None:
    state = with_token(STATE, "crm", "secret", scopes=("predict", "facts"))
    assert [(grant.name, grant.sha256) for grant in state.tokens] == [("crm", token_digest("secret"))]
    with pytest.raises(TokenTaken, match="revoke"):
        with_token(state, "crm", "another", scopes=("predict",))
    assert without_token(state, "crm") == STATE
    with pytest.raises(TokenTaken, match="batch runs"):
        with_token(STATE, "batch/streaming", "secret", scopes=("predict",))


def test_a_scope_or_a_caller_that_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(TokenTaken, match='did you mean "predict"'):
        with_token(STATE, "crm", "secret", scopes=("predicts",))
    with pytest.raises(NotServed, match='did you mean "crm"'):
        without_token(with_token(STATE, "crm", "secret", scopes=()), "cmr")
