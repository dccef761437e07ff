"""What did every use case promise, where does it stand, and what is asked of whom?"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from trueup.control.access import Access
from trueup.control.models import CharterVersion, Project
from trueup.control.pages.shell import access_of

_PAGE = 50


@dataclass(frozen=True)
class Line:
    """One use case as the portfolio shows it."""

    name: str
    title: str
    stage: str
    state: str
    version: int | None
    sponsor: str
    next_action: str
    """What is asked next; empty when nothing is."""
    asked: str
    """Of whom, by address or group."""
    is_mine: bool
    """Whether it is asked of whoever looks."""


@require_safe
def portfolio(request: HttpRequest) -> HttpResponse:
    """Show the use cases that the reader may see, fifty at a time in the order of their names."""
    access = access_of(request)
    wanted, after = request.GET.get("q", "").strip(), request.GET.get("after", "")
    shown = access.visible_projects()
    total = shown.count()
    if wanted:
        shown = shown.filter(title__icontains=wanted)
    page = list(_with_charter(shown.filter(name__gt=after).order_by("name"))[: _PAGE + 1])
    lines = [_line(project, access) for project in page[:_PAGE]]
    more = page[_PAGE - 1].name if len(page) > _PAGE else ""
    told = {"lines": lines, "total": total, "q": wanted, "more": more, "here": "portfolio"}
    if request.GET.get("format") == "json":
        return JsonResponse({"use_cases": [vars(line) for line in lines], "total": total, "after": more or None})
    told["mine"] = [line for line in lines if line.is_mine]
    told["may_create"] = access.may_anywhere("project.create")
    return render(request, "control/portfolio.html", told)


def _with_charter(projects: QuerySet[Project]) -> QuerySet[Project]:
    newest = CharterVersion.objects.filter(project=OuterRef("pk")).order_by("-number")
    return projects.annotate(
        **{f"charter_{name}": Subquery(newest.values(name)[:1]) for name in ("number", "state", "sponsor", "reviewers")}
    )


def _line(project: Project, access: Access) -> Line:
    state, sponsor = getattr(project, "charter_state", None) or "", getattr(project, "charter_sponsor", None) or ""
    reviewers: list[str] = getattr(project, "charter_reviewers", None) or []
    action, asked, is_mine = "", "", False
    if state == "waiting_for_feedback":
        action, asked = "Give feedback on the charter", ", ".join(reviewers)
        is_mine = not access.groups.isdisjoint(reviewers)
    elif state == "waiting_for_approval":
        action, asked = "Sign the charter", sponsor
        is_mine = sponsor == access.account.email
    elif not state:
        action, asked = "Write the charter", "the data team"
    return Line(
        name=project.name,
        title=project.title,
        stage="Charter" if state != "approved" else "Signed",
        state=state or "not_started",
        version=getattr(project, "charter_number", None),
        sponsor=sponsor,
        next_action=action,
        asked=asked,
        is_mine=is_mine,
    )
