"""How is it kept that something was done, and how does everybody see that nothing was changed or removed since?

An entry is written in the transaction of the act. A job seals what is there in batches: each seal's digest is over the
seal before it and the digests of its entries, so that a changed or missing entry breaks every later seal. Entries are
sealed in the order in which they were found, which is not always that of their numbers: a transaction may end late.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.db import connection, transaction

from trueup.control.errors import AuditBroken
from trueup.control.models import Account, AuditEntry, AuditPlace, AuditSeal, AuditUnsealed, Project
from trueup.kernel.digests import digest_of

_BATCH = 1_000
_LOCK = 0x7275_6575_7061_7564
"""Of the advisory lock that one sealing job holds."""
SOFTWARE = "Trueup"
Clock = Callable[[], dt.datetime]


def record(
    action: str,
    about: str,
    *,
    by: Account | None,
    at: dt.datetime,
    project: Project | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> AuditEntry:
    """Write down an act, in the transaction that does it.

    Parameters
    ----------
    action : str
        As in the table of rights.
    about : str
        What was acted on, in words.
    by : Account or None
        None: the software did it by itself.
    before, after : mapping, optional
        The facts that changed, as JSON values; no secrets.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("an act and its audit entry must be one transaction")
    return AuditEntry.objects.create(
        at=at,
        account=by,
        person=f"{by.name} <{by.email}>" if by else SOFTWARE,
        action=action,
        project=project,
        about=about,
        before=before,
        after=after,
        reason=reason,
    )


def seal(*, at: dt.datetime, most: int = _BATCH) -> int:
    """Seal what waits, at most so many entries, and return how many that were; 0 too while another process seals."""
    with transaction.atomic():
        if not _locked():
            return 0
        waiting = list(AuditUnsealed.objects.order_by("pk").values_list("pk", flat=True)[:most])
        if not waiting:
            return 0
        entries = AuditEntry.objects.filter(pk__in=waiting).order_by("pk")
        last = AuditSeal.objects.order_by("-number").first()
        previous = last.digest if last else ""
        made = AuditSeal.objects.create(
            number=last.number + 1 if last else 1,
            entries=len(waiting),
            previous=previous,
            digest=_digest_of(previous, map(entry_digest, entries)),
            at=at,
        )
        AuditPlace.objects.bulk_create(
            [AuditPlace(entry_id=pk, seal=made, place=place) for place, pk in enumerate(waiting)]
        )
        AuditUnsealed.objects.filter(pk__in=waiting).delete()
        return len(waiting)


def verify() -> tuple[int, int]:
    """Check the whole trail, and return how many entries are sealed and how many wait to be.

    Raises
    ------
    AuditBroken
        It names the first seal that does not hold.
    """
    previous, sealed = "", 0
    for number, found in enumerate(AuditSeal.objects.order_by("number").iterator(chunk_size=100), start=1):
        if found.number != number or found.previous != previous:
            raise AuditBroken(f"seal {number} of the audit trail is missing or does not follow the one before it")
        places = AuditPlace.objects.filter(seal=found).order_by("place").select_related("entry")
        digests = [entry_digest(place.entry) for place in places]
        if len(digests) != found.entries or _digest_of(previous, iter(digests)) != found.digest:
            raise AuditBroken(f"an entry of seal {number} was changed or removed, sealed {found.at:%Y-%m-%d %H:%M} UTC")
        previous, sealed = found.digest, sealed + found.entries
    waiting = AuditUnsealed.objects.count()
    there = AuditEntry.objects.count()
    if there != sealed + waiting:
        raise AuditBroken(f"{there} entries are there, {sealed} are sealed and {waiting} wait: some were taken out")
    return sealed, waiting


def entry_digest(entry: AuditEntry) -> str:
    """Return the digest of all that an entry says."""
    document = {
        "id": entry.pk,
        "at": entry.at.astimezone(dt.UTC).isoformat(),
        "account": entry.account_id,
        "person": entry.person,
        "action": entry.action,
        "project": entry.project_id,
        "about": entry.about,
        "before": entry.before,
        "after": entry.after,
        "reason": entry.reason,
    }
    return digest_of(document)


def _digest_of(previous: str, digests: Iterator[str]) -> str:
    return hashlib.sha256("\n".join([previous, *digests]).encode()).hexdigest()


def _locked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        [(locked,)] = cursor.fetchall()
        return bool(locked)
