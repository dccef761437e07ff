"""How does this room say that an agreement cannot be made or kept?"""

from __future__ import annotations

from trueup.kernel.errors import TrueupError


class AlignError(TrueupError):
    """Base of this room's errors."""

    code = "align.error"


class ProjectNotFound(AlignError):
    """There is no readable project file."""

    code = "align.project-not-found"


class SignatureInvalid(AlignError):
    """A signature does not belong to this charter, or was altered."""

    code = "align.signature-invalid"


class BadKeyFile(AlignError):
    """A key file is not a signing key."""

    code = "align.bad-key-file"


class StepNotAllowed(AlignError):
    """A sign-off step cannot be taken in the present state."""

    code = "align.step-not-allowed"
