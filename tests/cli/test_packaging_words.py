"""What a person reads about a packaged model."""

from __future__ import annotations

from pathlib import Path

from trueup.bundle.package import BundleRef
from trueup.cli.packaging_words import describe_packaged
from trueup.loop.packaging import Packaged


def test_what_changed_since_training_is_said() -> None:
    packaged = Packaged(BundleRef("d" * 64, Path("bundles")), None, None, ("the charter", "the data"))

    assert describe_packaged(packaged) == [
        "Vulnerabilities: not checked, no advisory database was given",
        "Since this model was trained, the charter and the data changed; run `trueup train` for a model of today",
    ]
