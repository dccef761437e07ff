"""What can go wrong with a bundle, as classes a caller may handle."""

from __future__ import annotations

from trueup.kernel.errors import TrueupError


class BundleError(TrueupError):
    """Base of every error of this room."""

    code = "bundle.error"


class RowBreaksSchema(BundleError):
    """A row lacks a feature, or holds a value of the wrong type; the message names the field, never the value."""

    code = "bundle.row-breaks-schema"


class FeatureMissing(BundleError):
    """A table lacks a column the model was trained on, or has it with a type that cannot be read."""

    code = "bundle.feature-missing"
