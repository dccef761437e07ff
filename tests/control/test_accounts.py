"""Accounts come from links: one for the first administrator, invitations for everybody else."""

from __future__ import annotations

import datetime as dt

import pytest
from tests.control.people import NOW, PASSWORD, People

from trueup.control import accounts
from trueup.control.access import Access
from trueup.control.errors import LinkUsed


def test_an_invitation_makes_an_account_with_its_role_once(people: People) -> None:
    secret = accounts.make_link("invitation", at=NOW, email="New@Example.com", role="analyst")

    account = accounts.accept_invitation(secret, name="New Person", password=PASSWORD, at=NOW)

    assert (account.email, Access(account).roles()) == ("new@example.com", frozenset({"analyst"}))
    with pytest.raises(LinkUsed, match="used before"):
        accounts.accept_invitation(secret, name="Again", password=PASSWORD, at=NOW)


def test_a_link_is_over_after_three_days(people: People) -> None:
    secret = accounts.make_link("invitation", at=NOW, email="late@example.com")
    with pytest.raises(LinkUsed):
        accounts.find_link(secret, at=NOW + dt.timedelta(days=3, seconds=1))


def test_an_invitation_makes_no_administrator_of_a_new_organisation(people: People) -> None:
    secret = accounts.make_link("invitation", at=NOW, email="x@example.com")
    with pytest.raises(LinkUsed):
        accounts.begin_organisation(
            secret, organisation="Mine", name="X", email="x@example.com", password=PASSWORD, at=NOW
        )


@pytest.mark.parametrize("password", ["short", "passwordpassword"[:8], "priyasecondnair1"[:11]])
def test_a_password_that_is_easily_guessed_is_refused_and_the_link_stays(people: People, password: str) -> None:
    secret = accounts.make_link("invitation", at=NOW, email="x@example.com")
    with pytest.raises(accounts.BadAccount):
        accounts.accept_invitation(secret, name="X", password=password, at=NOW)
    assert accounts.find_link(secret, at=NOW).email == "x@example.com"


def test_an_address_has_one_account_in_any_case_of_letters(people: People) -> None:
    with pytest.raises(accounts.BadAccount, match="an account with this address"):
        accounts.add_account("PRIYA@example.com", name="Another Priya", password=PASSWORD)
