"""Which page answers at which address?"""

from __future__ import annotations

from django.urls import include, path
from django.views.generic import RedirectView

from trueup.control.pages import charter, doors, people, portfolio, project, proposing

urlpatterns = [
    path("", RedirectView.as_view(url="/portfolio"), name="root"),
    path("healthz", doors.health, name="health"),
    path("signin", doors.sign_in, name="account_login"),
    path("signout", doors.sign_out, name="account_logout"),
    path("signin/", include("allauth.mfa.urls")),
    path("welcome", doors.welcome, name="welcome"),
    path("portfolio", portfolio.portfolio, name="portfolio"),
    path("people", people.people, name="people"),
    path("people/invite", people.invite, name="people_invite"),
    path("people/role", people.role, name="people_role"),
    path("people/group", people.group, name="people_group"),
    path("propose", proposing.propose, name="propose"),
    path("u/<slug:name>", project.home, name="project"),
    path("u/<slug:name>/charter", charter.read, name="charter"),
    path("u/<slug:name>/charter/feedback", charter.feedback, name="charter_feedback"),
    path("u/<slug:name>/charter/sign", charter.sign, name="charter_sign"),
    path("u/<slug:name>/activity", project.activity, name="activity"),
]
handler404 = "trueup.control.pages.failures.not_found"
handler500 = "trueup.control.pages.failures.failed"
