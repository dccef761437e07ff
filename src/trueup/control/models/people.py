"""Who is here, and which roles and groups are theirs?"""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower

from trueup.control.rights import ROLES


class Organisation(models.Model):
    """The one organisation of this installation."""

    name = models.CharField(max_length=120)
    four_eyes = models.BooleanField(default=True)
    """Whether nobody may approve what they built."""
    created_at = models.DateTimeField()

    class Meta:
        """One row and no more."""

        constraints: ClassVar = [models.CheckConstraint(name="one_organisation", condition=models.Q(id=1))]

    def __str__(self) -> str:
        return self.name


class Accounts(BaseUserManager["Account"]):
    """How accounts are made and found; the e-mail address is the name people sign in with."""

    def make(self, email: str, *, name: str, title: str = "", password: str | None = None) -> Account:
        """Add an account; without a password it can only sign in another way."""
        account = self.model(email=email.strip().lower(), name=name.strip(), title=title.strip())
        account.set_password(password)
        account.save()
        return account

    def get_by_natural_key(self, username: str | None) -> Account:
        """Find an account by its e-mail address, in any case of letters."""
        return self.get(email=(username or "").strip().lower())


class Account(AbstractBaseUser):
    """A person who can sign in."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120)
    title = models.CharField(max_length=120, blank=True)
    """What the person does, as in "Head of fraud operations"."""
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects: ClassVar[Accounts] = Accounts()

    class Meta:
        """An address belongs to one account, whatever the case of its letters."""

        constraints: ClassVar = [models.UniqueConstraint(Lower("email"), name="email_once")]

    def __str__(self) -> str:
        return self.name

    def get_full_name(self) -> str:
        """Return the name."""
        return self.name


class Group(models.Model):
    """People who do the same work, as charters name them: fraud-operations."""

    name = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=120, blank=True)
    members = models.ManyToManyField(Account, through="GroupMember", related_name="groups")

    def __str__(self) -> str:
        return self.title or self.name


class GroupMember(models.Model):
    """One account in one group."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE)
    account = models.ForeignKey(Account, on_delete=models.CASCADE)

    class Meta:
        """Once each."""

        constraints: ClassVar = [models.UniqueConstraint(fields=["group", "account"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.account} in {self.group}"


class Assignment(models.Model):
    """One role of one account, in one project or everywhere."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="assignments")
    role = models.CharField(max_length=20, choices=[(role, role) for role in ROLES])
    project = models.ForeignKey("control.Project", on_delete=models.CASCADE, null=True, blank=True)
    """None: in all projects."""

    class Meta:
        """Once each."""

        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "role", "project"], name="role_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.role}"


class OneTimeLink(models.Model):
    """A link that opens one door once: the first administrator's, or an invitation."""

    digest = models.CharField(max_length=64, unique=True)
    """Of the secret in the link, which is kept nowhere."""
    purpose = models.CharField(max_length=20, choices=[("first", "first administrator"), ("invitation", "invitation")])
    email = models.EmailField(blank=True)
    role = models.CharField(max_length=20, blank=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.purpose} link"
