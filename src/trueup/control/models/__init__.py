"""The tables of the control plane."""

from trueup.control.models.audit import AuditEntry, AuditPlace, AuditSeal, AuditUnsealed
from trueup.control.models.people import Account, Assignment, Group, GroupMember, OneTimeLink, Organisation
from trueup.control.models.projects import CharterDecision, CharterFeedback, CharterVersion, Project

__all__ = [
    "Account",
    "Assignment",
    "AuditEntry",
    "AuditPlace",
    "AuditSeal",
    "AuditUnsealed",
    "CharterDecision",
    "CharterFeedback",
    "CharterVersion",
    "Group",
    "GroupMember",
    "OneTimeLink",
    "Organisation",
    "Project",
]
