"""What can go wrong between people and the control plane, in words they can act on."""

from __future__ import annotations

from trueup.kernel.errors import TrueupError


class ControlError(TrueupError):
    """Base of what the control plane refuses."""

    code = "control.refused"


class NotPermitted(ControlError):
    """The account may not do this here."""

    code = "control.not-permitted"


class Changed(ControlError):
    """What was shown is not what is there any more, so nothing was done."""

    code = "control.changed-meanwhile"


class BadConfiguration(ControlError):
    """The installation is set up in a way that cannot work."""

    code = "control.bad-configuration"


class DatabaseUnavailable(ControlError):
    """The database does not answer, or cannot be started."""

    code = "control.database-unavailable"


class LinkUsed(ControlError):
    """A one-time link was used before, is over, or never was one."""

    code = "control.link-used"


class AuditBroken(ControlError):
    """The audit trail is not what was sealed."""

    code = "control.audit-broken"
