"""How are states, times and money said on a page, in the words of business readers?"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo

from django import template

from trueup.align.charter import Guard, Kpi
from trueup.kernel.money import money_text

register = template.Library()
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_STATES = {
    "not_started": "Not started",
    "waiting_for_feedback": "Waiting for feedback",
    "waiting_for_approval": "Waiting for the sponsor",
    "approved": "Signed",
    "rejected": "Rejected",
    "abandoned": "Abandoned",
}
_ACTS = {
    "organisation.begin": "set up this installation",
    "people.join": "joined",
    "people.invite": "invited",
    "people.group": "changed the group",
    "people.change": "changed who may do what",
    "project.create": "started the use case",
    "charter.propose": "proposed",
    "charter.feedback": "gave feedback on",
    "charter.approve": "signed",
    "charter.reject": "rejected",
    "charter.abandon": "abandoned",
}


@register.filter
def state_words(state: str) -> str:
    """Return how a state of a sign-off is said."""
    return _STATES.get(state, state.replace("_", " "))


@register.filter
def act_words(action: str) -> str:
    """Return what somebody did, as a verb after the name."""
    return _ACTS.get(action, action.replace(".", " "))


@register.filter
def day(moment: dt.datetime | None, timezone: str = "UTC") -> str:
    """Return a day as 23 Nov, with the year when it is not the present one's."""
    if moment is None:
        return ""
    local = moment.astimezone(zoneinfo.ZoneInfo(timezone))
    return f"{local.day} {local:%b %Y}"


@register.filter
def money(value: float, currency: str) -> str:
    """Return an amount as people write it: €31,000."""
    return money_text(value, currency)


@register.filter
def amount(expression: str, currency: str) -> str:
    """Return a payoff: an amount where it is one, else the expression over the row, as it was signed."""
    if _NUMBER.fullmatch(expression.strip()):
        return money_text(float(expression), currency)
    return expression


@register.filter
def share(value: float) -> str:
    """Return a share from 0 to 1 in hundredths."""
    return f"{100 * value:g}%"


@register.filter
def target_words(kpi: Kpi) -> str:
    """Return what a figure should come to."""
    return str(kpi.target)


@register.filter
def guard_words(guard: Guard) -> str:
    """Return the limit of a guard, over which time, and what happens beyond it."""
    then = {"rollback": "then it goes back", "fallback": "then the old rule decides", "alert": "then people are told"}
    return f"{guard.limit}, over {guard.window}; {then[guard.breach]}"


@register.filter
def person_words(person: str) -> str:
    """Return the name of who acted, without the address."""
    return person.partition(" <")[0]


@register.filter
def short(digest: str) -> str:
    """Return a digest as people compare it: its beginning and its end."""
    return f"{digest[:8]}…{digest[-4:]}" if len(digest) > 16 else digest
