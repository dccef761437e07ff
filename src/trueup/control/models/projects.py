"""Which use cases are there, and what was agreed about each?"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from trueup.control.models.people import Account

STATES = ("not_started", "waiting_for_feedback", "waiting_for_approval", "approved", "rejected", "abandoned")


class Project(models.Model):
    """One use case."""

    name = models.SlugField(max_length=80, unique=True)
    """Never changes: tables, logs and servers know the project by it."""
    title = models.CharField(max_length=160)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return self.title


class CharterVersion(models.Model):
    """One version of a project's charter, as it was pushed or written; never changed afterwards."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="charters")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=80)
    """Of the charter's document (`align/document.py`); what people sign."""
    project_file = models.TextField()
    """The whole of trueup.toml."""
    state = models.CharField(max_length=24, choices=[(state, state) for state in STATES], default="not_started")
    sponsor = models.EmailField()
    reviewers = models.JSONField(default=list)
    """Names of the groups that must give feedback."""
    note = models.TextField(blank=True)
    """Why this version, in the author's words."""
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")

    class Meta:
        """Numbered from 1 in each project; at most one is being agreed on, so that nobody signs in two places."""

        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "number"], name="charter_number_once"),
            models.UniqueConstraint(
                fields=["project"],
                condition=models.Q(state__in=["not_started", "waiting_for_feedback", "waiting_for_approval"]),
                name="one_open_charter",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project.name} charter {self.number}"


class CharterFeedback(models.Model):
    """What a member of a reviewing group said; the last word of a group counts."""

    charter = models.ForeignKey(CharterVersion, on_delete=models.PROTECT, related_name="feedback")
    group = models.CharField(max_length=60)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    agrees = models.BooleanField()
    comment = models.TextField(blank=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.group} on {self.charter}"


class CharterDecision(models.Model):
    """How the sign-off of a version ended."""

    charter = models.OneToOneField(CharterVersion, on_delete=models.PROTECT, related_name="decision")
    state = models.CharField(max_length=12, choices=[(state, state) for state in ("approved", "rejected", "abandoned")])
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=80)
    """What the person was shown and agreed to."""
    reason = models.TextField(blank=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.charter}: {self.state}"
