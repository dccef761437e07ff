"""The table of rights, cell by cell, over the pages that there are: what a role opens, and what it does not."""

from __future__ import annotations

import pytest
from tests.control.conftest import Visit
from tests.control.people import NOW, PASSWORD, People

from trueup.control import accounts
from trueup.control.access import Access
from trueup.control.models import CharterVersion
from trueup.control.rights import RIGHTS, ROLES, may

CHARTER = "/u/application-fraud/charter"
PAGES = {"/portfolio": "project.see", CHARTER: "project.see", "/u/application-fraud/activity": "activity.see"}
EVERYWHERE = {"/people": "people.see", "/propose": "project.create"}
FORMS = {
    (f"{CHARTER}/sign", "approved"): {"sponsor"},
    (f"{CHARTER}/sign", "rejected"): {"sponsor"},
    (f"{CHARTER}/sign", "abandoned"): {"sponsor", "scientist"},
    (f"{CHARTER}/feedback", ""): set(),
}
"""Who may send each form by a role alone; feedback is given by members of a group, whatever their roles."""


def test_every_right_names_roles_that_there_are_and_nobody_may_do_everything() -> None:
    for action, roles in RIGHTS.items():
        assert roles <= set(ROLES), action
    assert all(any(role not in roles for roles in RIGHTS.values()) for role in ROLES)


def test_who_runs_releases_does_not_sign_charters_and_who_gives_roles_gets_no_other_right_by_it() -> None:
    assert not may("charter.approve", ["operator", "administrator", "scientist", "steward", "reviewer", "analyst"])
    assert not may("release.promote", ["sponsor", "reviewer", "scientist", "administrator"])
    assert not may("people.change", [role for role in ROLES if role != "administrator"])


@pytest.mark.parametrize("role", ROLES)
def test_a_role_in_the_use_case_opens_its_pages_and_the_forms_of_the_table_only(
    people: People, visit: Visit, role: str
) -> None:
    account = accounts.add_account(f"{role}@example.com", name=f"A {role}", password=PASSWORD)
    accounts.give_role(account, role, project=people.charter.project, by=None, at=NOW)
    client = visit(account.email)

    for page, action in PAGES.items():
        assert client.get(page).status_code == (200 if may(action, [role]) else 403), (role, page)
    for (address, decision), allowed in FORMS.items():
        form = {
            "version": "1",
            "digest": "0" * 64,
            "decision": decision,
            "reason": "because",
            "group": "fraud-operations",
        }
        answer = client.post(address, form)
        # whoever may send it is told that the page was another one; nobody else gets so far
        assert answer.status_code == (302 if role in allowed else 403), (role, address, decision)
    assert CharterVersion.objects.get().state == "waiting_for_feedback"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_in_one_use_case_says_nothing_about_another(people: People, role: str) -> None:
    other = people.charter.project
    account = accounts.add_account("far@example.com", name="Far Away", password=PASSWORD)
    elsewhere = type(other).objects.create(name="elsewhere", title="Elsewhere", created_at=NOW, created_by=account)
    accounts.give_role(account, role, project=elsewhere, by=None, at=NOW)
    access = Access(account)
    assert not any(access.may(action, other) for action in RIGHTS)
    assert list(access.visible_projects()) == [elsewhere]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_everywhere_opens_the_pages_of_the_organisation(people: People, visit: Visit, role: str) -> None:
    account = accounts.add_account(f"{role}@example.com", name=f"A {role}", password=PASSWORD)
    accounts.give_role(account, role, by=None, at=NOW)
    client = visit(account.email)

    for page, action in EVERYWHERE.items():
        allowed = may(action, [role]) or (page == "/propose" and may("charter.propose", [role]))
        assert client.get(page).status_code == (200 if allowed else 403), (role, page)
    changes = may("people.change", [role])
    for address, form in (
        ("/people/invite", {"email": "new@example.com", "role": "analyst"}),
        ("/people/role", {"email": people.stranger.email, "role": "analyst"}),
        ("/people/group", {"name": "night-shift", "email": people.stranger.email}),
    ):
        assert client.post(address, form).status_code == ((200, 302)[address != "/people/invite"] if changes else 403)
