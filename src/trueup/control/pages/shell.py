"""What all pages share: who is signed in, what stands at the left, and what becomes of a refusal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme, urlencode

from trueup.control.access import Access
from trueup.control.errors import NotPermitted
from trueup.control.models import Account, Organisation, Project
from trueup.kernel.errors import TrueupError

_OPEN_TO_ALL = ("/signin", "/welcome", "/healthz", "/static/")
_PINNED = 8


class PeopleOnly:
    """Sends whoever is not signed in to the door, and says a refusal on the page where it happened."""

    def __init__(self, answer: Callable[[HttpRequest], HttpResponse]) -> None:
        self._answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        if not request.user.is_authenticated and not request.path.startswith(_OPEN_TO_ALL):
            return HttpResponseRedirect(f"/signin?{urlencode({'next': request.get_full_path()})}")
        response = self._answer(request)
        if request.user.is_authenticated:  # what one person may see stays out of shared caches
            response.setdefault("Cache-Control", "private, no-store")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Tell a refusal: on the page it was asked from, or as a page of its own."""
        if isinstance(error, NotPermitted):
            return render(request, "control/not_permitted.html", {"reason": error.message}, status=403)
        if isinstance(error, TrueupError) and request.method == "POST":
            messages.warning(request, error.message, extra_tags="warn")
            return HttpResponseRedirect(back_to(request))
        return None


def shell(request: HttpRequest) -> Mapping[str, Any]:
    """Return what every template may show."""
    told: dict[str, Any] = {"organisation": Organisation.objects.first()}
    if getattr(request, "user", None) is not None and request.user.is_authenticated:
        told["pinned"] = access_of(request).visible_projects().order_by("title")[:_PINNED]
        told["project"] = None
        told["sees_people"] = access_of(request).may("people.see")
    return told


def account_of(request: HttpRequest) -> Account:
    """Return who asks; only pages behind the door ask this."""
    return cast("Account", request.user)


def access_of(request: HttpRequest) -> Access:
    """Return what the one who asks may do, looked up once."""
    found = getattr(request, "_access", None)
    if found is None:
        found = Access(account_of(request))
        request._access = found  # type: ignore[attr-defined]  # kept for the length of the request
    return cast("Access", found)


def project_of(request: HttpRequest, name: str) -> Project:
    """Return a project that the one who asks may see.

    Raises
    ------
    Http404
        Also when it is there and may not be seen: nobody learns which projects there are.
    """
    from django.shortcuts import get_object_or_404

    return get_object_or_404(access_of(request).visible_projects(), name=name)


def back_to(request: HttpRequest) -> str:
    """Return the page a form was on, if it is one of ours."""
    place = request.headers.get("referer", "")
    if url_has_allowed_host_and_scheme(place, {request.get_host()}, require_https=request.is_secure()):
        return place
    return "/portfolio"


def now() -> dt.datetime:
    """Return the present moment; services get it as an argument."""
    return dt.datetime.now(dt.UTC)
