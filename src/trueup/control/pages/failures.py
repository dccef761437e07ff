"""What people see when a page is not there, a form was too old, or we failed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that nothing is here, or nothing that this person may see."""
    return render(request, "control/not_found.html", status=404)


def failed(request: HttpRequest) -> HttpResponse:
    """Say that we failed, that nothing was half done, and what to try."""
    return render(request, "control/failed.html", status=500)


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say that a form did not come from a page of ours, or from one that is too old."""
    return render(request, "control/stale_form.html", status=403)
