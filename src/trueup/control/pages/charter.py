"""What was agreed, what changed since the version before, who has said what, and what is asked of the reader?"""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from trueup.align.charter import Charter, PayoffMatrix
from trueup.align.document import charter_document, describe_changes
from trueup.control import charters
from trueup.control.models import CharterVersion, Project
from trueup.control.pages.shell import access_of, account_of, now, project_of


@require_safe
def read(request: HttpRequest, name: str) -> HttpResponse:
    """Show a version of the charter: the newest, or the one that is asked for."""
    project = project_of(request, name)
    versions = list(project.charters.select_related("created_by", "decision__account").order_by("-number"))
    if not versions:
        return render(request, "control/charter_missing.html", {"project": project, "tab": "charter"})
    version = _asked_for(request, versions)
    charter = charters.charter_of(version)
    if request.GET.get("format") == "json":
        return JsonResponse(_document(version, charter))
    access = access_of(request)
    older = next((each for each in versions if each.number < version.number), None)
    signed = next((each for each in versions if each.state == "approved"), None)
    is_newest = version.number == versions[0].number
    told: dict[str, Any] = {
        "project": project,
        "tab": "charter",
        "version": version,
        "versions": versions,
        "charter": charter,
        "signed": signed,
        "older": older,
        "changes": describe_changes(charters.charter_of(older), charter) if older else (),
        "feedback": version.feedback.select_related("account").order_by("-pk"),
        "missing": _missing(version),
        "matrix": charter.payoff if isinstance(charter.payoff, PayoffMatrix) else None,
        "my_groups": access.may_give_feedback(version) if is_newest else (),
        "may_decide": is_newest and access.is_sponsor_of(version),
        "waits": version.state in ("waiting_for_feedback", "waiting_for_approval"),
    }
    return render(request, "control/charter.html", told)


@require_POST
def feedback(request: HttpRequest, name: str) -> HttpResponse:
    """Take what a reviewing group says."""
    version = _version(request, project_of(request, name))
    charters.give_feedback(
        version,
        group=request.POST.get("group", ""),
        agrees=request.POST.get("agrees") == "yes",
        comment=request.POST.get("comment", "").strip(),
        shown=request.POST.get("digest", ""),
        by=account_of(request),
        at=now(),
    )
    return HttpResponseRedirect(reverse("charter", args=[name]))


@require_POST
def sign(request: HttpRequest, name: str) -> HttpResponse:
    """Take the sponsor's decision about the charter that was shown."""
    version = _version(request, project_of(request, name))
    state = request.POST.get("decision", "")
    if state not in ("approved", "rejected", "abandoned"):
        raise Http404
    charters.decide(
        version,
        state,
        shown=request.POST.get("digest", ""),
        reason=request.POST.get("reason", "").strip(),
        by=account_of(request),
        at=now(),
    )
    return HttpResponseRedirect(reverse("charter", args=[name]))


def _asked_for(request: HttpRequest, versions: list[CharterVersion]) -> CharterVersion:
    wanted = request.GET.get("v", "")
    if not wanted:
        return versions[0]
    found = next((each for each in versions if str(each.number) == wanted), None)
    if found is None:
        raise Http404
    return found


def _version(request: HttpRequest, project: Project) -> CharterVersion:
    number = request.POST.get("version", "")
    found = project.charters.filter(number=int(number)).first() if number.isdecimal() and len(number) < 7 else None
    if found is None:
        raise Http404
    return found


def _missing(version: CharterVersion) -> list[str]:
    heard = set(version.feedback.values_list("group", flat=True))
    return [group for group in version.reviewers if group not in heard]


def _document(version: CharterVersion, charter: Charter) -> dict[str, Any]:
    return {
        "version": version.number,
        "digest": version.digest,
        "state": version.state,
        "sponsor": version.sponsor,
        "missing_feedback": _missing(version),
        "charter": charter_document(charter),
    }
