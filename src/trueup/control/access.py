"""May this account do this, here; and what may it see? The table of rights (`rights.py`) against the assignments."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from trueup.control.errors import NotPermitted
from trueup.control.models import Account, Assignment, CharterVersion, GroupMember, Project
from trueup.control.rights import REVIEWER, RIGHTS, SPONSOR, may


class Access:
    """What one account may do, looked up once for a request.

    Parameters
    ----------
    account : Account
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self._everywhere: set[str] = set()
        self._here: dict[int, set[str]] = {}
        for held in Assignment.objects.filter(account=account):
            if held.project_id is None:
                self._everywhere.add(held.role)
            else:
                self._here.setdefault(held.project_id, set()).add(held.role)
        self._groups: frozenset[str] | None = None
        self._named: dict[int, set[str]] | None = None

    @property
    def groups(self) -> frozenset[str]:
        """Return the names of the groups the account is in."""
        if self._groups is None:
            names = GroupMember.objects.filter(account=self.account).values_list("group__name", flat=True)
            self._groups = frozenset(names)
        return self._groups

    def roles(self, project: Project | None = None) -> frozenset[str]:
        """Return the roles in a project, given or because its charter names the account; or those held everywhere."""
        if project is None:
            return frozenset(self._everywhere)
        given, named = self._here.get(project.pk, set()), self._named_in().get(project.pk, set())
        return frozenset(self._everywhere | given | named)

    def may(self, action: str, project: Project | None = None) -> bool:
        """Return whether the account may do an action, in a project or, without one, in the organisation."""
        return may(action, self.roles(project))

    def may_anywhere(self, action: str) -> bool:
        """Return whether the account may do an action in some project, or everywhere."""
        return may(action, self._everywhere) or any(may(action, roles) for roles in self._here.values())

    def require(self, action: str, project: Project | None = None) -> None:
        """Return where the account may do this.

        Raises
        ------
        NotPermitted
            It says which roles may.
        """
        if not self.may(action, project):
            allowed = ", ".join(sorted(RIGHTS[action]))
            where = f" in {project.title}" if project is not None else ""
            raise NotPermitted(
                f"this needs one of the roles {allowed}{where}; an administrator can give it under People and access",
                action=action,
            )

    def may_give_feedback(self, charter: CharterVersion) -> tuple[str, ...]:
        """Return the groups in whose name the account may give feedback on a charter."""
        return tuple(name for name in charter.reviewers if name in self.groups)

    def is_sponsor_of(self, charter: CharterVersion) -> bool:
        """Return whether the account decides about a charter: it names it as its sponsor, or it was given that role."""
        return SPONSOR in self.roles(charter.project)

    def visible_projects(self) -> QuerySet[Project]:
        """Return the projects the account may see: by a role, or because a charter asks its group or itself."""
        if may("project.see", self._everywhere):
            return Project.objects.all()
        return Project.objects.filter(pk__in=[*self._here, *self._named_in()])

    def _named_in(self) -> dict[int, set[str]]:
        """Return the roles that charters give by naming the account, or a group it is in, by project."""
        if self._named is None:
            self._named = {}
            asked = Q(sponsor=self.account.email)
            for name in self.groups:
                asked |= Q(reviewers__contains=[name])
            told = CharterVersion.objects.filter(asked).exclude(state__in=("rejected", "abandoned"))
            for project, sponsor in told.values_list("project_id", "sponsor"):
                roles = self._named.setdefault(project, set())
                roles.add(SPONSOR if sponsor == self.account.email else REVIEWER)
        return self._named
