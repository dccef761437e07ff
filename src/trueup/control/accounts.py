"""How does a person get an account? The first administrator by a link shown once, everybody else by invitation."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from trueup.control import audit
from trueup.control.access import Access
from trueup.control.errors import ControlError, LinkUsed
from trueup.control.models import Account, Assignment, Group, GroupMember, OneTimeLink, Organisation, Project
from trueup.control.rights import ADMINISTRATOR, ROLES
from trueup.kernel.errors import nearest_spelling

LINK_HOLDS = dt.timedelta(days=3)
_LINK_USED = "this link was used before, or is too old; ask whoever sent it for a new one"


class BadAccount(ControlError):
    """The account cannot be made like this."""

    code = "control.bad-account"


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]  # the library brings no types
    """Nobody signs up by themselves: accounts come from links."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return that it is not."""
        return False


def make_link(
    purpose: str, *, at: dt.datetime, email: str = "", role: str = "", holds: dt.timedelta = LINK_HOLDS
) -> str:
    """Return the secret of a new link; only its digest is kept."""
    secret = secrets.token_urlsafe(32)
    OneTimeLink.objects.create(digest=_digest(secret), purpose=purpose, email=email, role=role, expires_at=at + holds)
    return secret


def find_link(secret: str, *, at: dt.datetime) -> OneTimeLink:
    """Return the link with a secret.

    Raises
    ------
    LinkUsed
        When it was used, is over, or is none.
    """
    link = _open_links(secret, at=at).first()
    if link is None:
        raise LinkUsed(_LINK_USED)
    return link


@transaction.atomic
def begin_organisation(
    secret: str, *, organisation: str, name: str, email: str, password: str, at: dt.datetime
) -> Account:
    """Make the organisation and its first administrator, who can do everything that lets others do theirs.

    Raises
    ------
    LinkUsed, BadAccount
    """
    account = _accept(secret, purpose="first", name=name, email=email, password=password, at=at)
    Organisation.objects.create(id=1, name=organisation.strip() or "My organisation", created_at=at)
    Assignment.objects.create(account=account, role=ADMINISTRATOR)
    audit.record("organisation.begin", "the organisation", by=account, at=at, after={"administrator": account.email})
    return account


@transaction.atomic
def accept_invitation(secret: str, *, name: str, password: str, at: dt.datetime) -> Account:
    """Make the account that an invitation is for, with the role it gives.

    Raises
    ------
    LinkUsed, BadAccount
    """
    link = find_link(secret, at=at)
    account = _accept(secret, purpose="invitation", name=name, email=link.email, password=password, at=at)
    if link.role:
        Assignment.objects.create(account=account, role=link.role)
    audit.record("people.join", account.email, by=account, at=at, after={"role": link.role})
    return account


@transaction.atomic
def give_role(
    account: Account, role: str, *, project: Project | None = None, by: Account | None, at: dt.datetime
) -> None:
    """Give a role in a project, or everywhere; again is fine."""
    _, is_new = Assignment.objects.get_or_create(account=account, role=role, project=project)
    if is_new:
        where = project.name if project else "everywhere"
        audit.record("people.change", account.email, by=by, at=at, project=project, after={"role": role, "in": where})


@transaction.atomic
def invite(email: str, *, role: str, by: Account, at: dt.datetime) -> str:
    """Return the secret of a link with which somebody makes an account; who invites passes it on.

    Raises
    ------
    NotPermitted, BadAccount
    """
    Access(by).require("people.change")
    email = email.strip().lower()
    if role and role not in ROLES:
        raise BadAccount(f"{role} is no role{nearest_spelling(role, list(ROLES))}", field="role")
    try:
        validate_email(email)
    except ValidationError as error:
        raise BadAccount("this is no e-mail address; write it as name@company.example", field="email") from error
    if Account.objects.filter(email=email).exists():
        raise BadAccount("somebody has an account with this address already", field="email")
    OneTimeLink.objects.filter(purpose="invitation", email=email, used_at=None).delete()  # the newest one opens
    audit.record("people.invite", email, by=by, at=at, after={"role": role or None})
    return make_link("invitation", at=at, email=email, role=role)


@transaction.atomic
def change_role(account: Account, role: str, *, given: bool, by: Account, at: dt.datetime) -> None:
    """Give somebody a role everywhere, or take it; the last administrator keeps theirs.

    Raises
    ------
    NotPermitted, BadAccount
    """
    Access(by).require("people.change")
    if role not in ROLES:
        raise BadAccount(f"{role} is no role{nearest_spelling(role, list(ROLES))}", field="role")
    if given:
        return give_role(account, role, by=by, at=at)
    held = Assignment.objects.select_for_update().filter(role=role, project=None, account__is_active=True)
    if role == ADMINISTRATOR and not held.exclude(account=account).exists():
        raise BadAccount("nobody else is an administrator; make somebody one first", field="role")
    taken, _ = Assignment.objects.filter(account=account, role=role, project=None).delete()
    if taken:
        audit.record("people.change", account.email, by=by, at=at, before={"role": role, "in": "everywhere"})
    return None


@transaction.atomic
def make_group(name: str, *, by: Account, at: dt.datetime) -> Group:
    """Add a group of people who do the same work; its name is the one that charters use.

    Raises
    ------
    NotPermitted, BadAccount
    """
    Access(by).require("people.change")
    name = name.strip().lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,59}", name):
        raise BadAccount("a group is named with letters, digits and hyphens, as in fraud-operations", field="name")
    made, is_new = Group.objects.get_or_create(name=name)
    if is_new:
        audit.record("people.group", name, by=by, at=at, after={"group": name})
    return made


@transaction.atomic
def change_member(group: Group, account: Account, *, is_in: bool, by: Account, at: dt.datetime) -> None:
    """Put somebody into a group, or take them out; again is fine.

    Raises
    ------
    NotPermitted
    """
    Access(by).require("people.change")
    if is_in:
        _, changed = GroupMember.objects.get_or_create(group=group, account=account)
    else:
        changed = bool(GroupMember.objects.filter(group=group, account=account).delete()[0])
    if changed:
        what = {"group": group.name, "member": account.email}
        before, after = (None, what) if is_in else (what, None)
        audit.record("people.group", group.name, by=by, at=at, before=before, after=after)


def add_account(email: str, *, name: str, title: str = "", password: str | None = None) -> Account:
    """Add an account with the address that people sign in with.

    Raises
    ------
    BadAccount
        When the address is taken, or the password is too easy to guess.
    """
    email = email.strip().lower()
    if not name.strip():
        raise BadAccount("the name is missing; write it as colleagues know it", field="name")
    if Account.objects.filter(email=email).exists():
        raise BadAccount("somebody has an account with this address already; sign in with it", field="email")
    if password is not None:
        try:
            validate_password(password, Account(email=email, name=name))
        except ValidationError as error:
            raise BadAccount(" ".join(error.messages), field="password") from error
    account = Account.objects.make(email, name=name, title=title, password=password)
    EmailAddress.objects.create(user=account, email=email, primary=True, verified=True)
    return account


def _accept(secret: str, *, purpose: str, name: str, email: str, password: str, at: dt.datetime) -> Account:
    if not _open_links(secret, at=at).filter(purpose=purpose).update(used_at=at):
        raise LinkUsed(_LINK_USED)
    return add_account(email, name=name, password=password)


def _open_links(secret: str, *, at: dt.datetime) -> QuerySet[OneTimeLink]:
    return OneTimeLink.objects.filter(digest=_digest(secret), used_at=None, expires_at__gt=at)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
