from __future__ import annotations

import pytest
from tests.serve.loadouts import document_of, loadout, seat

from trueup.bundle.features import FeatureSpec
from trueup.kernel.digests import digest_of
from trueup.serve.loadout import BadLoadout, Seat
from trueup.serve.row_requests import PolicyColumns

UNITS = range(0, 2**64, 2**64 // 2_000)


def test_canaries_take_their_shares_and_the_champion_the_rest() -> None:
    canaries = [seat("canary", share=0.2), seat("canary", share=0.3)]
    given = loadout(others=canaries)
    seats = [given.seat_of(unit) for unit in UNITS]
    shares = [seats.count(one) / len(seats) for one in (*canaries, given.champion)]
    assert shares == pytest.approx([0.2, 0.3, 0.5], abs=0.04)
    assert [given.share_of(one) for one in (*canaries, given.champion)] == [0.2, 0.3, 0.5]


def test_a_growing_share_keeps_the_cases_it_had() -> None:
    small, large = (loadout(others=[seat("canary", share=share)], salt=4) for share in (0.1, 0.4))
    kept = [unit for unit in UNITS if small.seat_of(unit) is not small.champion]
    assert kept
    assert all(large.seat_of(unit) is not large.champion for unit in kept)


def test_bundles_with_other_classes_do_not_stand_side_by_side() -> None:
    columns = PolicyColumns.of(document_of())
    other = Seat("d" * 64, "canary", features=(), columns=columns, classes=("a", "b", "c"))
    with pytest.raises(BadLoadout, match="cannot be canary: its classes are not those of the champion"):
        loadout(others=[other])


def test_medians_of_the_training_data_are_what_features_are_put_back_to() -> None:
    references = seat().references
    assert references is not None
    assert references[0] == pytest.approx(0.0, abs=0.2)
    assert references[1] == pytest.approx(54.0, abs=6.0)


def test_what_only_a_shadow_reads_is_logged_too_and_the_champion_says_of_which_kind() -> None:
    columns = PolicyColumns.of(document_of())
    new, known = FeatureSpec(name="new", kind="number"), FeatureSpec(name="age", kind="category", categories=("a",))
    shadow = Seat("d" * 64, "shadow", features=(new, known), columns=columns)
    alone = loadout().schema
    assert loadout(others=[shadow]).schema == {"age": "category", **alone, "new": "number"}
    assert loadout(others=[shadow]).schema_digest == digest_of(loadout(others=[shadow]).schema)
