"""The audit trail: written with the act, sealed in a chain, and changed by nobody unseen."""

from __future__ import annotations

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from tests.control.people import NOW, People

from trueup.control import audit
from trueup.control.errors import AuditBroken
from trueup.control.models import AuditEntry


def test_an_act_that_fails_leaves_no_entry(people: People) -> None:
    before = AuditEntry.objects.count()

    def fail() -> None:
        with transaction.atomic():
            audit.record("people.change", "nobody", by=people.administrator, at=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert AuditEntry.objects.count() == before


def test_sealed_batches_follow_each_other_and_hold_everything(people: People) -> None:
    count = AuditEntry.objects.count()
    assert audit.verify() == (0, count)
    assert audit.seal(at=NOW, most=2) == 2
    while audit.seal(at=NOW, most=2):
        pass
    assert audit.verify() == (count, 0)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE control_auditentry SET reason = 'another'",
        "DELETE FROM control_auditentry",
        "TRUNCATE control_auditentry CASCADE",
        "UPDATE control_auditseal SET digest = ''",
        "DELETE FROM control_auditplace",
    ],
)
def test_the_web_has_no_right_to_change_the_trail(people: People, statement: str) -> None:
    audit.seal(at=NOW)
    with pytest.raises(DatabaseError, match="permission denied"), connection.cursor() as cursor:
        cursor.execute(statement)
    audit.verify()


@pytest.mark.parametrize(
    "statement", ["UPDATE control_auditentry SET reason = 'another'", "DELETE FROM control_auditentry"]
)
def test_not_even_the_owner_changes_it_by_mistake(people: People, statement: str) -> None:
    with psycopg.connect(people.database.owner_url) as owner, pytest.raises(psycopg.Error, match="only ever added"):
        owner.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE control_auditentry SET reason = 'another' WHERE id = (SELECT min(id) FROM control_auditentry)",
        "UPDATE control_auditentry SET person = 'somebody else' WHERE action = 'charter.propose'",
        "UPDATE control_auditseal SET entries = entries - 1 WHERE number = 2",
        "DELETE FROM control_auditplace WHERE seal_id = 1 AND place = 0",
    ],
)
def test_what_an_owner_changes_on_purpose_is_found(people: People, statement: str) -> None:
    while audit.seal(at=NOW, most=3):
        pass
    with psycopg.connect(people.database.owner_url) as owner:
        owner.execute("SET session_replication_role = replica")  # as somebody does who wants no trigger to see it
        owner.execute(statement)
    with pytest.raises(AuditBroken):
        audit.verify()


def test_an_entry_that_is_taken_out_before_it_is_sealed_is_missed(people: People) -> None:
    with psycopg.connect(people.database.owner_url) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("DELETE FROM control_auditentry WHERE action = 'charter.propose'")
    with pytest.raises(AuditBroken, match="some were taken out"):
        audit.verify()
