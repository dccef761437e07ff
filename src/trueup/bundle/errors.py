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


class BundleRefused(BundleError):
    """A bundle is not what its manifest and signature say. Nothing of it was executed."""

    code = "bundle.refused"


class BadManifest(BundleRefused):
    """The manifest cannot be read, or names a path outside the bundle."""

    code = "bundle.bad-manifest"


class FilesDiffer(BundleRefused):
    """A file is changed, missing, extra, or no plain file."""

    code = "bundle.files-differ"


class BadSignature(BundleRefused):
    """There is no signature of a trusted key over exactly these files."""

    code = "bundle.bad-signature"


class KeyExpired(BundleRefused):
    """The key that signed, or would sign, was trusted until a day that is over."""

    code = "bundle.key-expired"


class KeyRevoked(BundleRefused):
    """The key that signed, or would sign, was revoked."""

    code = "bundle.key-revoked"


class BundleNotFound(BundleError):
    """Nothing that is named like this is a bundle, or more than one is."""

    code = "bundle.not-found"


class LockRefused(BundleRefused):
    """The environment of a bundle's lock cannot be the one it was made in: no hash, another hash, no such version."""

    code = "bundle.lock-refused"


class EnvironmentUnavailable(BundleError):
    """The environment of a bundle cannot be made here: no package index, no such Python, no space."""

    code = "bundle.environment-unavailable"


class BadArchive(BundleRefused):
    """An archive is no archive of a bundle, or would write outside its folder."""

    code = "bundle.bad-archive"


class PickleRefused(BundleRefused):
    """The pickle refers to a global that no model needs; the message names it. Nothing of it was executed."""

    code = "bundle.pickle-refused"


class NoSandbox(BundleError):
    """The process that would hold the model cannot confine itself, so it opens nothing."""

    code = "bundle.no-sandbox"


class GoldenRowsDiffer(BundleError):
    """The model does not give here what it gave in development."""

    code = "bundle.golden-rows-differ"


class LibraryMissing(BundleError):
    """A library that the bundle's predictor is computed with is not here; the message says what to install."""

    code = "bundle.library-missing"


class ModelFailed(BundleError):
    """The model's process ended, or the model raised where it must not."""

    code = "bundle.model-failed"


class CannotWrite(BundleError):
    """The place for bundles cannot be written: no space, no permission, no folder. Nothing was published."""

    code = "bundle.cannot-write"


class BadKey(BundleError):
    """A key file is missing, readable by others, or no key of the kind model signing takes."""

    code = "bundle.bad-key"


class BadAdvisories(BundleError):
    """An advisory database cannot be read, or is none; nothing was checked against it."""

    code = "bundle.bad-advisories"


class VulnerableVersions(BundleError):
    """A bundle's lock holds versions with known vulnerabilities that nobody accepted. Nothing was published."""

    code = "bundle.vulnerable-versions"
