"""Pages: who sees which, what a form does, and what happens to those who try something else."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from tests.control.conftest import Visit
from tests.control.people import NOW, PASSWORD, People

from trueup.control import accounts, charters
from trueup.control.models import Account, CharterVersion, OneTimeLink, Organisation, Project

CHARTER = "/u/application-fraud/charter"


def test_the_way_of_a_charter_through_the_pages(people: People, visit: Visit) -> None:
    reviewer, sponsor = visit(people.reviewer.email), visit(people.sponsor.email)
    assert "Give feedback on the charter" in _waiting(reviewer)
    assert "You can sign once fraud-operations has given feedback" in sponsor.get(CHARTER).text

    page = reviewer.get(CHARTER)
    form = {
        "version": "1",
        "digest": _digest_on(page.text),
        "group": "fraud-operations",
        "agrees": "yes",
        "comment": "ok",
    }
    assert reviewer.post(f"{CHARTER}/feedback", form).status_code == 302

    assert "Sign the charter" in _waiting(sponsor)
    form = {"version": "1", "digest": _digest_on(sponsor.get(CHARTER).text), "decision": "approved", "reason": ""}
    assert sponsor.post(f"{CHARTER}/sign", form).status_code == 302

    assert "Signed by Maren Holt" in sponsor.get(CHARTER).text
    assert "Nothing is waiting for you" in sponsor.get("/portfolio").text
    activity = [act["action"] for act in sponsor.get("/u/application-fraud/activity?format=json").json()["activity"]]
    assert activity == ["charter.approve", "charter.feedback", "charter.propose", "project.create"]


def test_a_page_that_is_stale_signs_nothing_and_says_so(people: People, visit: Visit) -> None:
    sponsor = visit(people.sponsor.email)
    form = {"version": "1", "digest": "f" * 64, "decision": "approved", "reason": ""}

    answer = sponsor.post(f"{CHARTER}/sign", form, follow=True, headers={"referer": f"http://localhost{CHARTER}"})

    assert "not the one that was shown" in answer.text
    assert CharterVersion.objects.get().state == "waiting_for_feedback"


def test_whoever_is_not_signed_in_is_sent_to_the_door_and_back(people: People) -> None:
    client = Client(SERVER_NAME="localhost")
    assert client.get(CHARTER).headers["location"] == "/signin?next=%2Fu%2Fapplication-fraud%2Fcharter"
    answer = client.post("/signin", {"login": people.sponsor.email, "password": PASSWORD, "next": CHARTER})
    assert answer.headers["location"] == CHARTER


@pytest.mark.parametrize("place", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example"])
def test_signing_in_leads_nowhere_else(people: People, place: str) -> None:
    client = Client(SERVER_NAME="localhost")
    answer = client.post("/signin", {"login": people.sponsor.email, "password": PASSWORD, "next": place})
    assert answer.headers["location"] == "/portfolio"


def test_a_use_case_one_has_no_part_in_is_not_there(people: People, visit: Visit) -> None:
    stranger = visit(people.stranger.email)
    for page in (CHARTER, "/u/application-fraud", "/u/application-fraud/activity", "/u/no-such-thing"):
        assert stranger.get(page).status_code == 404
    assert "Application fraud" not in stranger.get("/portfolio").text
    assert stranger.post(f"{CHARTER}/sign", {"version": "1", "decision": "approved"}).status_code == 404


def test_a_form_from_another_site_does_nothing(people: People) -> None:
    client = Client(SERVER_NAME="localhost", enforce_csrf_checks=True)
    client.force_login(people.sponsor)
    answer = client.post(f"{CHARTER}/sign", {"version": "1", "digest": people.charter.digest, "decision": "rejected"})
    assert (answer.status_code, "This form is too old" in answer.text) == (403, True)


def test_a_session_from_before_signing_in_is_worth_nothing_after(people: People) -> None:
    client = Client(SERVER_NAME="localhost")
    session = client.session
    session["planted"] = 1
    session.save()
    before = session.session_key
    client.cookies["sessionid"] = before or ""
    client.post("/signin", {"login": people.sponsor.email, "password": PASSWORD})
    assert client.cookies["sessionid"].value != before


def test_what_people_write_is_text_on_a_page(people: People, visit: Visit) -> None:
    attack = "<script>alert(1)</script>"
    charters.give_feedback(
        people.charter,
        group="fraud-operations",
        agrees=False,
        comment=attack,
        shown=people.charter.digest,
        by=people.reviewer,
        at=NOW,
    )
    for page in (CHARTER, "/u/application-fraud/activity"):
        answer = visit(people.sponsor.email).get(page)
        assert attack not in answer.text
        assert "&lt;script&gt;alert(1)" in answer.text
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"


def test_the_first_administrator_begins_with_a_link_that_opens_once(database: object) -> None:
    secret = accounts.make_link("first", at=_now())
    form = {
        "link": secret,
        "organisation": "Northfield",
        "email": "Ada@Example.com",
        "name": "Ada",
        "password": PASSWORD,
    }
    client = Client(SERVER_NAME="localhost")

    assert client.get(f"/welcome?link={secret}").status_code == 200
    assert client.post("/welcome", {**form, "password": "short"}).status_code == 422
    assert client.post("/welcome", form).headers["location"] == "/portfolio"
    assert client.get("/portfolio").status_code == 200
    assert Organisation.objects.get().name == "Northfield"
    assert Client(SERVER_NAME="localhost").post("/welcome", form).status_code == 410
    assert not OneTimeLink.objects.filter(digest__contains=secret).exists()


def test_a_password_that_is_tried_too_often_is_not_tried_again(people: People) -> None:
    client = Client(SERVER_NAME="localhost")
    for _ in range(6):
        client.post("/signin", {"login": people.sponsor.email, "password": "a wrong guess"})
    answer = client.post("/signin", {"login": people.sponsor.email, "password": PASSWORD})
    assert answer.status_code != 302


def _digest_on(page: str) -> str:
    found = re.search(r'name="digest" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1]


def _waiting(client: Client) -> str:
    page = client.get("/portfolio").text
    return page[page.index("Waiting for you") :].partition("</section>")[0]


def _now() -> dt.datetime:
    from trueup.control.pages.shell import now

    return now()


@pytest.mark.parametrize("page", ["/portfolio", "/people"])
def test_a_longer_list_asks_the_database_no_more_questions(people: People, visit: Visit, page: str) -> None:
    administrator = visit(people.administrator.email)
    administrator.get(page)
    with CaptureQueriesContext(connection) as few:
        administrator.get(page)
    Project.objects.bulk_create(
        [
            Project(name=f"case-{number:03}", title=f"Case {number}", created_at=NOW, created_by=people.scientist)
            for number in range(80)
        ]
    )
    Account.objects.bulk_create([Account(email=f"p{n}@example.com", name=f"P {n}") for n in range(80)])
    with CaptureQueriesContext(connection) as many:
        assert "Show the next" in administrator.get(page).text
    assert len(many) == len(few)
    assert len(few) < 15


def test_a_list_goes_on_where_the_page_before_ended(people: People, visit: Visit) -> None:
    Project.objects.bulk_create(
        [
            Project(name=f"case-{number:03}", title=f"Case {number}", created_at=NOW, created_by=people.scientist)
            for number in range(80)
        ]
    )
    administrator = visit(people.administrator.email)
    first = administrator.get("/portfolio?format=json").json()
    second = administrator.get(f"/portfolio?format=json&after={first['after']}").json()
    names = [line["name"] for line in (*first["use_cases"], *second["use_cases"])]
    assert (len(names), second["after"]) == (81, None)
    assert names == sorted(set(names))
