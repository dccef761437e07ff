"""How does a charter come here? Somebody sends the project file, and hears all that is wrong with it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from trueup.control import charters
from trueup.control.errors import NotPermitted
from trueup.control.pages.shell import access_of, account_of, now
from trueup.kernel.errors import TrueupError

MOST_BYTES = 256 * 1024


@require_http_methods(["GET", "POST"])
def propose(request: HttpRequest) -> HttpResponse:
    """Take a project file, as text or as a file; the charter in it becomes the next version."""
    access = access_of(request)
    if not (access.may_anywhere("project.create") or access.may_anywhere("charter.propose")):
        access.require("project.create")
    if request.method == "GET":
        return render(request, "control/propose.html", {"here": "portfolio"})
    text, note = request.POST.get("project_file", ""), request.POST.get("note", "").strip()
    sent = request.FILES.get("file")
    shown = {"here": "portfolio", "text": text, "note": note}
    try:
        if sent is not None:
            text = shown["text"] = _read(sent.size or 0, sent.read(MOST_BYTES))
        version = charters.push_charter(text, by=account_of(request), at=now(), note=note)
    except NotPermitted:
        raise
    except (TrueupError, UnicodeDecodeError) as error:
        wrong = error.message if isinstance(error, TrueupError) else "the file is no text in UTF-8"
        return render(request, "control/propose.html", {**shown, "wrong": wrong.splitlines()}, status=422)
    return HttpResponseRedirect(reverse("charter", args=[version.project.name]))


def _read(size: int, content: bytes) -> str:
    if size > MOST_BYTES:
        raise charters.FileTooLarge(f"the file has {size:,} bytes; a project file has at most {MOST_BYTES:,}")
    return content.decode("utf-8")
