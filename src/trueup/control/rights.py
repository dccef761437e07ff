"""Who may do what? One table of roles and actions; every page, form and call asks it, and tests walk all its cells.

A role is held in one project or in all of them. A charter gives two by itself: whoever is in a group it names is a
reviewer in its project, and the person it names as sponsor is the sponsor there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SPONSOR, REVIEWER, ANALYST, SCIENTIST = "sponsor", "reviewer", "analyst", "scientist"
STEWARD, OPERATOR, ADMINISTRATOR = "steward", "operator", "administrator"
ROLES: Mapping[str, str] = {
    SPONSOR: "answers for the result, and signs charters and releases",
    REVIEWER: "works the cases, and says whether decisions were right",
    ANALYST: "looks at data and results",
    SCIENTIST: "builds models and proposes releases",
    STEWARD: "keeps data and the platform trusted",
    OPERATOR: "runs servers and releases",
    ADMINISTRATOR: "gives roles to people",
}
_ALL = frozenset(ROLES)
RIGHTS: Mapping[str, frozenset[str]] = {
    "project.see": _ALL,
    "project.create": frozenset({SCIENTIST, STEWARD, ADMINISTRATOR}),
    "charter.propose": frozenset({SPONSOR, SCIENTIST, STEWARD}),
    "charter.feedback": frozenset({SPONSOR, REVIEWER}),
    "charter.approve": frozenset({SPONSOR}),
    "charter.abandon": frozenset({SPONSOR, SCIENTIST}),
    "release.propose": frozenset({SCIENTIST, OPERATOR}),
    "release.approve": frozenset({SPONSOR, STEWARD, OPERATOR}),
    "release.promote": frozenset({OPERATOR}),
    "release.rollback": frozenset({SPONSOR, SCIENTIST, OPERATOR}),
    "activity.see": _ALL,
    "audit.export": frozenset({STEWARD, ADMINISTRATOR}),
    "people.see": frozenset({STEWARD, OPERATOR, ADMINISTRATOR}),
    "people.change": frozenset({ADMINISTRATOR}),
    "services.see": frozenset({SCIENTIST, STEWARD, OPERATOR, ADMINISTRATOR}),
    "settings.change": frozenset({ADMINISTRATOR}),
}
"""Which roles may do an action."""


def may(action: str, roles: Iterable[str]) -> bool:
    """Return whether somebody with these roles, in the project that is meant, may do an action of the table."""
    return not RIGHTS[action].isdisjoint(roles)
