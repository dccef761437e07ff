"""Every way that cannot be made says why, and none stops the others."""

from __future__ import annotations

from trueup.bundle.compiling.offers import make_offers
from trueup.bundle.features import FeatureSpec


class Foreign:
    """No converter knows it."""


def test_a_model_that_no_converter_knows_gives_reasons_not_errors() -> None:
    offers = make_offers(Foreign(), [FeatureSpec("a", "number")], task="binary", n_classes=2)

    assert all(offer.plan is None and offer.why_not for offer in offers)
    assert "onnx" in {offer.kind for offer in offers}


def test_free_text_is_named_as_what_no_number_stands_for() -> None:
    [offer] = make_offers(Foreign(), [FeatureSpec("note", "text")], task="binary", n_classes=2)

    assert offer.why_not == '"note" is free text, which no number stands for'
