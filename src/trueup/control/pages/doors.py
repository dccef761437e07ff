"""How do people come in and go out, and the first one of all?"""

from __future__ import annotations

from allauth.account.internal.flows.login import perform_login
from allauth.account.models import Login
from allauth.account.views import LoginView, LogoutView
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from trueup.control import accounts
from trueup.control.errors import LinkUsed
from trueup.control.pages.shell import now


class _SignIn(LoginView):  # type: ignore[misc]  # the library brings no types
    template_name = "control/signin.html"


sign_in = _SignIn.as_view()
sign_out = require_POST(LogoutView.as_view())


@require_http_methods(["GET", "POST"])
def welcome(request: HttpRequest) -> HttpResponse:
    """Let somebody in by a one-time link: the first administrator, or an invited person."""
    secret = str((request.POST if request.method == "POST" else request.GET).get("link", ""))
    try:
        link = accounts.find_link(secret, at=now())
    except LinkUsed as error:
        return render(request, "control/welcome.html", {"closed": error.message}, status=410)
    given = {name: request.POST.get(name, "").strip() for name in ("organisation", "email", "name")}
    shown = {"link": secret, "first": link.purpose == "first", "given": given}
    if request.method == "GET":
        return render(request, "control/welcome.html", shown)
    password = request.POST.get("password", "")
    try:
        if link.purpose == "first":
            account = accounts.begin_organisation(secret, **given, password=password, at=now())
        else:
            account = accounts.accept_invitation(secret, name=given["name"], password=password, at=now())
    except accounts.BadAccount as error:
        return render(request, "control/welcome.html", {**shown, "wrong": error.message}, status=422)
    return perform_login(request, Login(user=account, redirect_url="/portfolio"))  # type: ignore[no-any-return]


@require_GET
def health(request: HttpRequest) -> JsonResponse:
    """Say whether pages can be answered: the database is there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"ready": True})
