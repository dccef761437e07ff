"""An administrator brings people in, gives roles and makes groups; everybody else does not."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from tests.control.conftest import Visit
from tests.control.people import NOW, PASSWORD, PROJECT_FILE, People

from trueup.control import accounts, charters
from trueup.control.access import Access
from trueup.control.errors import LinkUsed
from trueup.control.models import Assignment, AuditEntry, CharterVersion, Group


def test_an_invited_person_joins_with_the_link_that_the_page_showed_once(people: People, visit: Visit) -> None:
    administrator = visit(people.administrator.email)
    page = administrator.post("/people/invite", {"email": "New@Example.com", "role": "analyst"})
    found = re.search(r"http://localhost(/welcome\?link=[\w-]+)", page.text)
    assert found is not None
    assert "welcome?link" not in administrator.get("/people").text

    newcomer = Client(SERVER_NAME="localhost")
    assert "Join Northfield Finance" in newcomer.get(found[1]).text
    form = {"link": found[1].partition("=")[2], "name": "New Person", "password": PASSWORD}
    assert newcomer.post("/welcome", form).headers["location"] == "/portfolio"
    assert newcomer.get("/portfolio").status_code == 200


def test_a_second_invitation_takes_the_place_of_the_first(people: People) -> None:
    first = accounts.invite("x@example.com", role="", by=people.administrator, at=NOW)
    second = accounts.invite("x@example.com", role="analyst", by=people.administrator, at=NOW)
    with pytest.raises(LinkUsed):
        accounts.find_link(first, at=NOW)
    assert accounts.find_link(second, at=NOW).role == "analyst"


def test_the_last_administrator_stays_one(people: People) -> None:
    with pytest.raises(accounts.BadAccount, match="nobody else is an administrator"):
        accounts.change_role(people.administrator, "administrator", given=False, by=people.administrator, at=NOW)
    accounts.change_role(people.stranger, "administrator", given=True, by=people.administrator, at=NOW)
    accounts.change_role(people.administrator, "administrator", given=False, by=people.stranger, at=NOW)
    assert not Access(people.administrator).may("people.change")


def test_a_role_that_is_taken_is_gone_at_once_and_in_the_audit_trail(people: People, visit: Visit) -> None:
    scientist = visit(people.scientist.email)
    assert scientist.get("/propose").status_code == 200
    administrator = visit(people.administrator.email)
    administrator.post("/people/role", {"email": people.scientist.email, "role": "scientist", "act": "take"})
    assert scientist.get("/propose").status_code == 403
    assert not Assignment.objects.filter(account=people.scientist).exists()
    last = AuditEntry.objects.latest("pk")
    assert (last.action, last.about, last.before) == (
        "people.change",
        people.scientist.email,
        {"role": "scientist", "in": "everywhere"},
    )


def test_whoever_is_put_into_a_group_may_speak_for_it_and_whoever_is_taken_out_may_not(people: People) -> None:
    group = Group.objects.get(name="fraud-operations")
    accounts.change_member(group, people.stranger, is_in=True, by=people.administrator, at=NOW)
    assert Access(people.stranger).may_give_feedback(people.charter) == ("fraud-operations",)
    accounts.change_member(group, people.stranger, is_in=False, by=people.administrator, at=NOW)
    assert Access(people.stranger).may_give_feedback(people.charter) == ()


@pytest.mark.parametrize("name", ["", "Fraud Team!", "-x", "a" * 61])
def test_a_group_has_a_name_that_a_charter_can_use(people: People, name: str) -> None:
    with pytest.raises(accounts.BadAccount, match="letters, digits and hyphens"):
        accounts.make_group(name, by=people.administrator, at=NOW)


def test_a_charter_is_proposed_on_a_page_and_all_its_mistakes_are_told_with_the_text_kept(
    people: People, visit: Visit
) -> None:
    scientist = visit(people.scientist.email)
    charters.decide(
        people.charter, "abandoned", shown=people.charter.digest, reason="again", by=people.scientist, at=NOW
    )
    wrong = PROJECT_FILE.replace("currency =", "curency =").replace('per = "day"', 'per = "fortnight"')
    page = scientist.post("/propose", {"project_file": wrong, "note": ""})
    assert (page.status_code, CharterVersion.objects.count()) == (422, 1)
    assert "curency" in page.text
    assert "fortnight" in page.text

    good = PROJECT_FILE.replace("cases = 4", "cases = 5")
    answer = scientist.post("/propose", {"project_file": good, "note": "One more a day"})
    assert answer.headers["location"] == "/u/application-fraud/charter"
    assert "capacity 4 -&gt; 5 a day" in scientist.get("/u/application-fraud/charter").text


@pytest.mark.parametrize("text", ["", "no toml at all [", "\x00", "x = 1\n" * 60_000, "[project]\nname = '../../etc'"])
def test_anything_else_is_refused_in_words_and_nothing_is_proposed(people: People, visit: Visit, text: str) -> None:
    page = visit(people.scientist.email).post("/propose", {"project_file": text, "note": ""})
    assert page.status_code == 422
    assert "Nothing was proposed" in page.text
    assert CharterVersion.objects.count() == 1
