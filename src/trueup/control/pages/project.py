"""What is this use case, where does it stand, and what happened to it?"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from trueup.control.models import AuditEntry
from trueup.control.pages.shell import access_of, project_of

_PAGE = 50


@require_safe
def home(request: HttpRequest, name: str) -> HttpResponse:
    """Go to what a use case has: its charter, as long as nothing is released."""
    project = project_of(request, name)
    return HttpResponseRedirect(reverse("charter", args=[project.name]))


@require_safe
def activity(request: HttpRequest, name: str) -> HttpResponse:
    """Show what happened, the latest first, fifty acts at a time."""
    project = project_of(request, name)
    access_of(request).require("activity.see", project)
    before = request.GET.get("before", "")
    found = AuditEntry.objects.filter(project=project).order_by("-pk")
    if before.isdecimal():
        found = found.filter(pk__lt=int(before))
    page = list(found[: _PAGE + 1])
    entries, more = page[:_PAGE], page[_PAGE - 1].pk if len(page) > _PAGE else None
    if request.GET.get("format") == "json":
        told = [
            {"id": e.pk, "at": e.at, "person": e.person, "action": e.action, "about": e.about, "reason": e.reason}
            for e in entries
        ]
        return JsonResponse({"activity": told, "before": more})
    return render(
        request, "control/activity.html", {"project": project, "entries": entries, "more": more, "tab": "activity"}
    )
