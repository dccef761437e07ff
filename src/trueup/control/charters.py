"""How does a charter come to be agreed: pushed, given feedback by those who work the cases, approved by its sponsor?

The rules are those of `align/signoff.py`; here they meet accounts, the database and the audit trail. What a person
signs is the digest of what the page showed: if the charter is another one by then, nothing is signed.
"""

from __future__ import annotations

import datetime as dt
from typing import cast

from django.db import IntegrityError, transaction

from trueup.align import signoff
from trueup.align.charter import Charter
from trueup.align.document import charter_digest
from trueup.align.project_file import parse_project
from trueup.control import audit
from trueup.control.access import Access
from trueup.control.errors import Changed, ControlError, NotPermitted
from trueup.control.models import Account, CharterDecision, CharterFeedback, CharterVersion, Group, Project

_ACTS = {"approved": "charter.approve", "rejected": "charter.reject", "abandoned": "charter.abandon"}


class CharterOpen(ControlError):
    """Another version is being agreed on."""

    code = "control.charter-open"


class FileTooLarge(ControlError):
    """More was sent than a project file is."""

    code = "control.file-too-large"


class UnknownGroup(ControlError):
    """A charter names a group that nobody is in."""

    code = "control.unknown-group"


def push_charter(
    project_file: str, *, by: Account, at: dt.datetime, note: str = "", folder: str = "."
) -> CharterVersion:
    """Add a version of a project's charter, and ask its reviewers; the project is made with its first version.

    Raises
    ------
    ProjectInvalid
        With all mistakes of the file.
    NotPermitted, CharterOpen, UnknownGroup
    StepNotAllowed
        When the charter names no reviewers.
    """
    read = parse_project(project_file, folder=folder)
    charter, digest = read.charter, charter_digest(read.charter)
    access = Access(by)
    with transaction.atomic():
        project = Project.objects.filter(name=read.name).first()
        if project is None:
            access.require("project.create")
            project = Project.objects.create(name=read.name, title=read.title, created_at=at, created_by=by)
            audit.record("project.create", read.title, by=by, at=at, project=project, after={"name": read.name})
        access.require("charter.propose", project)
        Project.objects.select_for_update().get(pk=project.pk)
        last = project.charters.order_by("-number").first()
        if last is not None and last.digest == digest:
            return last
        _require_groups(charter)
        asked = signoff.ask_for_feedback(signoff.new_signoff(charter))
        try:
            with transaction.atomic():
                made = CharterVersion.objects.create(
                    project=project,
                    number=last.number + 1 if last else 1,
                    digest=digest,
                    project_file=project_file,
                    state=asked.state,
                    sponsor=charter.sponsor.lower(),
                    reviewers=list(charter.reviewers),
                    note=note,
                    created_at=at,
                    created_by=by,
                )
        except IntegrityError as error:
            raise CharterOpen(
                f"version {last.number if last else 1} of the charter is being agreed on; let it be approved or "
                "rejected, or abandon it, before another is proposed"
            ) from error
        audit.record(
            "charter.propose",
            f"charter {made.number}",
            by=by,
            at=at,
            project=project,
            before={"digest": last.digest} if last else None,
            after={"digest": digest},
            reason=note,
        )
        return made


def give_feedback(
    charter: CharterVersion, *, group: str, agrees: bool, comment: str, shown: str, by: Account, at: dt.datetime
) -> CharterVersion:
    """Record what a member of a group says about the charter that was shown.

    Raises
    ------
    NotPermitted, Changed, StepNotAllowed
    """
    if group not in Access(by).may_give_feedback(charter):
        raise NotPermitted(f"only members of {group} speak for it; an administrator can add you to the group")
    with transaction.atomic():
        now = _held(charter, shown)
        after = signoff.record_feedback(_as_signoff(now), signoff.Feedback(group, by.email, agrees, comment, 0))
        CharterFeedback.objects.create(charter=now, group=group, account=by, agrees=agrees, comment=comment, at=at)
        _move(now, after.state)
        audit.record(
            "charter.feedback",
            f"charter {now.number}",
            by=by,
            at=at,
            project=now.project,
            after={"group": group, "agrees": agrees, "digest": now.digest},
            reason=comment,
        )
        return now


def decide(
    charter: CharterVersion, state: str, *, shown: str, reason: str = "", by: Account, at: dt.datetime
) -> CharterVersion:
    """Approve, reject or abandon the charter that was shown.

    Parameters
    ----------
    state : str
        approved, rejected or abandoned.
    shown : str
        Digest of what the person was shown.

    Raises
    ------
    NotPermitted, Changed, StepNotAllowed
    """
    access = Access(by)
    if state == "abandoned":
        access.require("charter.abandon", charter.project)
    elif not access.is_sponsor_of(charter):
        raise NotPermitted(f"the sponsor decides about this charter: {charter.sponsor}")
    with transaction.atomic():
        now = _held(charter, shown)
        standing = _as_signoff(now)
        if state == "approved":
            after = signoff.approve(standing, standing.sponsor, reason=reason, at=0)
        elif state == "rejected":
            after = signoff.reject(standing, standing.sponsor, reason=reason, at=0)
        else:
            after = signoff.abandon(standing, by.email, reason=reason, at=0)
        CharterDecision.objects.create(
            charter=now, state=after.state, account=by, digest=now.digest, reason=reason, at=at
        )
        _move(now, after.state)
        audit.record(
            _ACTS[state],
            f"charter {now.number}",
            by=by,
            at=at,
            project=now.project,
            before={"state": standing.state},
            after={"state": after.state, "digest": now.digest},
            reason=reason,
        )
        return now


def charter_of(version: CharterVersion) -> Charter:
    """Return what a version says."""
    return parse_project(version.project_file, folder=".").charter


def in_force(project: Project) -> CharterVersion | None:
    """Return the version that is signed and in force."""
    return project.charters.filter(state="approved").order_by("-number").first()


def _held(charter: CharterVersion, shown: str) -> CharterVersion:
    now = CharterVersion.objects.select_for_update().select_related("project").get(pk=charter.pk)
    if now.digest != shown:
        raise Changed("the charter is not the one that was shown; look at it again before you sign")
    newer = now.project.charters.filter(number__gt=now.number).exists()
    if newer:
        raise Changed("a newer version of the charter was proposed meanwhile; look at that one")
    return now


def _as_signoff(version: CharterVersion) -> signoff.SignOff:
    feedback = tuple(
        signoff.Feedback(said.group, said.account.email, said.agrees, said.comment, 0)
        for said in version.feedback.select_related("account").order_by("pk")
    )
    return signoff.SignOff(
        version.digest,
        version.sponsor,
        tuple(version.reviewers),
        state=cast("signoff.State", version.state),
        feedback=feedback,
    )


def _move(version: CharterVersion, state: str) -> None:
    version.state = state
    version.save(update_fields=["state"])


def _require_groups(charter: Charter) -> None:
    with_people = Group.objects.filter(name__in=charter.reviewers, members__is_active=True)
    known = set(with_people.values_list("name", flat=True))
    missing = [name for name in charter.reviewers if name not in known]
    if missing:
        raise UnknownGroup(
            f"the charter asks {', '.join(missing)} for feedback, and nobody is in there; an administrator can make "
            "the group and add people under People and access",
            groups=missing,
        )
