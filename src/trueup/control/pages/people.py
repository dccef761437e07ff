"""Who is here, what may they do, and how does somebody else come in?"""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from trueup.control import accounts
from trueup.control.models import Account, Assignment, Group, GroupMember
from trueup.control.pages.shell import access_of, account_of, now
from trueup.control.rights import RIGHTS, ROLES

_PAGE = 50


@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """Show accounts, groups, and the table of rights."""
    return _page(request)


def _page(request: HttpRequest, *, link: str = "", invited: str = "") -> HttpResponse:
    access = access_of(request)
    access.require("people.see")
    after = request.GET.get("after", "")
    page = list(Account.objects.filter(email__gt=after).order_by("email")[: _PAGE + 1])
    shown = page[:_PAGE]
    roles: dict[int, list[str]] = {}
    for held in Assignment.objects.filter(account__in=shown).select_related("project").order_by("role"):
        where = f" in {held.project.title}" if held.project else ""
        roles.setdefault(held.account_id, []).append(f"{held.role}{where}")
    members: dict[int, list[GroupMember]] = {}
    for member in GroupMember.objects.select_related("account").order_by("account__name"):
        members.setdefault(member.group_id, []).append(member)
    told = {
        "here": "people",
        "accounts": [(account, roles.get(account.pk, [])) for account in shown],
        "groups": [(group, members.get(group.pk, [])) for group in Group.objects.order_by("name")],
        "roles": ROLES,
        "rights": [(action, [role in allowed for role in ROLES]) for action, allowed in RIGHTS.items()],
        "may_change": access.may("people.change"),
        "more": page[_PAGE - 1].email if len(page) > _PAGE else "",
        "link": request.build_absolute_uri(f"/welcome?link={link}") if link else "",
        "invited": invited,
    }
    return render(request, "control/people.html", told)


@require_POST
def invite(request: HttpRequest) -> HttpResponse:
    """Make an invitation; the page shows its link once."""
    email = request.POST.get("email", "")
    secret = accounts.invite(email, role=request.POST.get("role", ""), by=account_of(request), at=now())
    return _page(request, link=secret, invited=email)  # no redirect: the link is kept nowhere to show it from


@require_POST
def role(request: HttpRequest) -> HttpResponse:
    """Give somebody a role everywhere, or take it."""
    accounts.change_role(
        _account(request),
        request.POST.get("role", ""),
        given=request.POST.get("act") != "take",
        by=account_of(request),
        at=now(),
    )
    return HttpResponseRedirect("/people")


@require_POST
def group(request: HttpRequest) -> HttpResponse:
    """Make a group, with a first member where one is named, or change who is in it."""
    by = account_of(request)
    made = accounts.make_group(request.POST.get("name", ""), by=by, at=now())
    if request.POST.get("email"):
        accounts.change_member(made, _account(request), is_in=request.POST.get("act") != "take", by=by, at=now())
    return HttpResponseRedirect("/people#groups")


def _account(request: HttpRequest) -> Account:
    found = Account.objects.filter(email=request.POST.get("email", "").strip().lower()).first()
    if found is None:
        raise Http404
    return found
