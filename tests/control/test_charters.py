"""People agree on a charter: feedback first, then the sponsor, and only on what they were shown."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection
from tests.control.people import NOW, PROJECT_FILE, People

from trueup.align.errors import StepNotAllowed
from trueup.control import charters
from trueup.control.errors import Changed, NotPermitted
from trueup.control.models import AuditEntry, CharterVersion


def _agree(people: People) -> CharterVersion:
    charter = people.charter
    return charters.give_feedback(
        charter,
        group="fraud-operations",
        agrees=True,
        comment="Two shifts can do it.",
        shown=charter.digest,
        by=people.reviewer,
        at=NOW,
    )


def test_the_sponsor_signs_once_those_who_work_the_cases_gave_feedback(people: People) -> None:
    charter = people.charter
    with pytest.raises(StepNotAllowed, match="fraud-operations"):
        charters.decide(charter, "approved", shown=charter.digest, by=people.sponsor, at=NOW)

    _agree(people)
    signed = charters.decide(charter, "approved", shown=charter.digest, by=people.sponsor, at=NOW)

    assert signed.state == "approved"
    assert charters.in_force(charter.project) == signed
    acts = list(AuditEntry.objects.filter(project=charter.project).order_by("pk").values_list("action", "person"))
    assert acts == [
        ("project.create", "Priya Nair <priya@example.com>"),
        ("charter.propose", "Priya Nair <priya@example.com>"),
        ("charter.feedback", "Tomas Lind <tomas@example.com>"),
        ("charter.approve", "Maren Holt <head-of-fraud@example.com>"),
    ]


def test_a_charter_cannot_be_signed_from_a_page_that_showed_another_one(people: People) -> None:
    _agree(people)
    with pytest.raises(Changed, match="not the one that was shown"):
        charters.decide(people.charter, "approved", shown="0" * 64, by=people.sponsor, at=NOW)
    assert charters.in_force(people.charter.project) is None


@pytest.mark.parametrize("who", ["scientist", "reviewer", "administrator", "stranger"])
def test_nobody_signs_for_the_sponsor(people: People, who: str) -> None:
    _agree(people)
    with pytest.raises(NotPermitted):
        charters.decide(people.charter, "approved", shown=people.charter.digest, by=getattr(people, who), at=NOW)


@pytest.mark.parametrize("who", ["scientist", "sponsor", "administrator", "stranger"])
def test_only_members_of_a_group_speak_for_it(people: People, who: str) -> None:
    with pytest.raises(NotPermitted, match="only members of fraud-operations"):
        charters.give_feedback(
            people.charter,
            group="fraud-operations",
            agrees=True,
            comment="",
            shown=people.charter.digest,
            by=getattr(people, who),
            at=NOW,
        )


def test_another_charter_waits_until_the_open_one_is_decided(people: People) -> None:
    changed = PROJECT_FILE.replace('per = "day"', 'per = "week"', 1)
    assert changed != PROJECT_FILE
    with pytest.raises(charters.CharterOpen, match="version 1"):
        charters.push_charter(changed, by=people.scientist, at=NOW)

    charters.decide(
        people.charter,
        "abandoned",
        shown=people.charter.digest,
        reason="a week fits better",
        by=people.scientist,
        at=NOW,
    )
    second = charters.push_charter(changed, by=people.scientist, at=NOW)

    assert (second.number, second.state) == (2, "waiting_for_feedback")
    with pytest.raises(Changed, match="newer version"):
        charters.give_feedback(
            people.charter,
            group="fraud-operations",
            agrees=True,
            comment="",
            shown=people.charter.digest,
            by=people.reviewer,
            at=NOW,
        )


def test_the_same_charter_in_another_layout_is_no_new_version(people: People) -> None:
    again = charters.push_charter(PROJECT_FILE + "\n# a comment\n", by=people.scientist, at=NOW)
    assert again == people.charter


def test_a_charter_that_asks_a_group_without_people_is_refused_with_what_to_do(people: People) -> None:
    lonely = PROJECT_FILE.replace('group = "fraud-operations"', 'group = "night-shift"')
    with pytest.raises(charters.UnknownGroup, match="night-shift for feedback, and nobody is in there"):
        charters.push_charter(lonely, by=people.scientist, at=NOW)


@pytest.mark.parametrize(
    "change", ["project_file = 'other'", "digest = 'other'", "sponsor = 'x@example.com'", "reviewers = '[]'"]
)
def test_what_a_charter_says_is_changed_by_nobody_with_the_databases_rights(people: People, change: str) -> None:
    with pytest.raises(DatabaseError, match="a charter never changes"), connection.cursor() as cursor:
        cursor.execute(f"UPDATE control_charterversion SET {change}")
