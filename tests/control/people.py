"""The organisation of these tests: a lender's fraud team, its data people, and those who run servers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from trueup.control import accounts, charters
from trueup.control.models import Account, CharterVersion, Group, GroupMember, Organisation
from trueup.control.rights import ADMINISTRATOR, SCIENTIST

PASSWORD = "a long sentence nobody guesses"
PROJECT_FILE = (Path(__file__).parents[2] / "src/trueup/cli/examples/application-fraud/trueup.toml").read_text(
    encoding="utf-8"
)


NOW = dt.datetime(2026, 11, 27, 9, 0, tzinfo=dt.UTC)
_ADDRESSES = {
    "administrator": ("ada@example.com", "Ada Lindqvist", "Data platform"),
    "sponsor": ("head-of-fraud@example.com", "Maren Holt", "Head of fraud operations"),
    "reviewer": ("tomas@example.com", "Tomas Lind", "Fraud analyst"),
    "scientist": ("priya@example.com", "Priya Nair", "Data scientist"),
    "stranger": ("jonas@example.com", "Jonas Weber", "Marketing"),
}


@dataclass(frozen=True)
class Database:
    """One installation's database."""

    name: str
    app_url: str
    owner_url: str


@dataclass
class People:
    """Accounts by what they do."""

    administrator: Account
    sponsor: Account
    reviewer: Account
    scientist: Account
    stranger: Account
    charter: CharterVersion
    database: Database

    @classmethod
    def find(cls, database: Database) -> People:
        """Return those who are in a copy of the database that `make` filled."""
        found = {name: Account.objects.get(email=email) for name, (email, _, _) in _ADDRESSES.items()}
        return cls(**found, charter=CharterVersion.objects.select_related("project").get(), database=database)

    @staticmethod
    def make(at: dt.datetime) -> None:
        """Set up the organisation, and let the data scientist propose the first charter."""
        Organisation.objects.create(id=1, name="Northfield Finance", created_at=at)
        made = {
            name: accounts.add_account(email, name=shown, title=title, password=PASSWORD)
            for name, (email, shown, title) in _ADDRESSES.items()
        }
        accounts.give_role(made["administrator"], ADMINISTRATOR, by=None, at=at)
        accounts.give_role(made["scientist"], SCIENTIST, by=made["administrator"], at=at)
        group = Group.objects.create(name="fraud-operations", title="Fraud operations")
        GroupMember.objects.create(group=group, account=made["reviewer"])
        charters.push_charter(PROJECT_FILE, by=made["scientist"], at=at, note="First agreement")
