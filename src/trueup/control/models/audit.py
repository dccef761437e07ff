"""What happened here, who did it and why? Rows that are only ever added, sealed into a chain of digests."""

from __future__ import annotations

from django.db import models


class AuditEntry(models.Model):
    """One act. The database refuses to change or remove it."""

    at = models.DateTimeField()
    account = models.ForeignKey("control.Account", on_delete=models.PROTECT, null=True, related_name="+")
    """None: the software itself, as a sponsor's envelope or a guard allowed it."""
    person = models.CharField(max_length=200)
    """Name and address as they were then."""
    action = models.CharField(max_length=60)
    """As in the table of rights: charter.approve."""
    project = models.ForeignKey("control.Project", on_delete=models.PROTECT, null=True, related_name="+")
    about = models.CharField(max_length=200)
    """What was acted on, in words that stay true: "charter 3"."""
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.TextField(blank=True)

    class Meta:
        """Lists go backwards in a project."""

        indexes = (models.Index(fields=["project", "-id"], name="audit_of_project"),)

    def __str__(self) -> str:
        return f"{self.action}: {self.about}"


class AuditSeal(models.Model):
    """A batch of entries, and the digest over them and all batches before."""

    number = models.PositiveBigIntegerField(primary_key=True)
    entries = models.PositiveIntegerField()
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"seal {self.number}"


class AuditPlace(models.Model):
    """Where in the chain an entry stands."""

    entry = models.OneToOneField(AuditEntry, on_delete=models.PROTECT, primary_key=True, related_name="place")
    seal = models.ForeignKey(AuditSeal, on_delete=models.PROTECT, related_name="places")
    place = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.entry_id} in {self.seal_id}"


class AuditUnsealed(models.Model):
    """An entry that waits to be sealed; a trigger adds it with the entry."""

    entry = models.OneToOneField(AuditEntry, on_delete=models.PROTECT, primary_key=True, related_name="+")

    def __str__(self) -> str:
        return str(self.entry_id)
