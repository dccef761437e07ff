"""Release notes say what people ask about a new bundle, and nothing that would break out of Markdown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trueup.bundle.features import FeatureSpec
from trueup.bundle.manifest import Manifest, parse_manifest
from trueup.bundle.package import BundleRef
from trueup.bundle.release_notes import release_notes
from trueup.bundle.served import Served

LOCKS = ("python==3.11.2\nnumpy==2.4.5 --hash=sha256:aa\nold==1\n", "python==3.11.2\nnumpy==2.4.6\nnew==3\n")


@pytest.fixture
def manifest(bundle: BundleRef) -> Manifest:
    """Return the manifest of the packaged bundle."""
    return parse_manifest((bundle.path / "manifest.json").read_bytes())


def candidate(value: float, low: float, high: float) -> dict[str, object]:
    """Return the chosen candidate of a training."""
    return {"chosen": True, "name": "gradient boosting", "value": value, "value_interval": [low, high]}


def section(notes: str, title: str) -> list[str]:
    """Return the lines of one part."""
    return notes.split(f"## {title}\n\n")[1].split("\n\n", maxsplit=1)[0].splitlines()


def test_every_part_is_told(manifest: Manifest) -> None:
    amount, broker = manifest.features
    before = replace(
        manifest,
        metrics={"candidates": [candidate(1000.0, 400.0, 1600.0)], "training_rows": 47207},
        policy={"currency": "EUR", "capacity": {"cases": 4, "per": "day"}},
        recipe={"kind": "gradient_boosting", "params": [["max_iter", 200]], "features": [["amount", "number"]]},
    )
    after = replace(
        manifest,
        model_version="2",
        charter_digest="e" * 64,
        table_version="8",
        metrics={"candidates": [candidate(1250.0, 700.0, 1800.0)], "training_rows": 50000},
        policy={"currency": "EUR", "capacity": {"cases": 6, "per": "day"}},
        recipe={"kind": "gradient_boosting", "params": [["max_iter", 300]], "features": []},
        features=(replace(amount, kind="text"), replace(broker, categories=("a", "c")), FeatureSpec("day", "date")),
        files={**manifest.files, "code/new.py": "0" * 64},
    )

    notes = release_notes(before, after, locks=LOCKS)

    assert notes.startswith("# application-fraud: model version 2\n")
    assert section(notes, "Data") == ["- Final outcomes trained on: 47,207 -> 50,000", "- Table version: 7 -> 8"]
    assert section(notes, "Features") == [
        "- Added: day (date)",
        "- Retyped: amount: number -> text",
        "- Categories of broker, new: c",
        "- Categories of broker, no longer known: b",
    ]
    assert section(notes, "Quality") == [
        "- Chosen model: gradient boosting, unchanged",
        "- Value on later data, with its 90 % interval: 1,000 (400 to 1,600) EUR -> 1,250 (700 to 1,800) EUR",
        "- The two values were found on different data: their difference is not the model's alone",
    ]
    assert section(notes, "Charter and policy") == [
        "- Charter: `cccccccccccc` -> `eeeeeeeeeeee`",
        "- capacity cases: 4 -> 6",
    ]
    assert section(notes, "Recipe") == ["- max iter: 200 -> 300"]
    assert section(notes, "Code") == ["- Added: new.py"]
    assert section(notes, "Dependencies") == ["- new: none -> 3", "- numpy: 2.4.5 -> 2.4.6", "- old: 1 -> none"]


def test_the_same_bundle_has_no_changes(manifest: Manifest) -> None:
    notes = release_notes(manifest, manifest, locks=(LOCKS[0], LOCKS[0]))

    for part in ("Features", "Charter and policy", "Recipe", "Code", "Dependencies"):
        assert section(notes, part) == ["No change."], part


def test_the_window_of_the_data_is_told_where_the_manifest_has_it(manifest: Manifest) -> None:
    windows = [{"from": "2024-01-01", "to": f"2024-0{m}-30", "known_by": f"2024-0{m + 1}-30"} for m in (6, 7)]
    sides = [replace(manifest, metrics={"data_window": window}) for window in windows]

    notes = release_notes(sides[0], sides[1], locks=LOCKS)

    assert section(notes, "Data")[:2] == [
        "- Cases: 2024-01-01 to 2024-06-30 -> 2024-01-01 to 2024-07-30",
        "- Outcomes known by: 2024-07-30 -> 2024-08-30",
    ]


def test_what_answers_and_who_signed_is_told_where_it_changed(manifest: Manifest) -> None:
    before = replace(manifest, predictor=Served("hybrid", 1e-12, 0.5, ("own_step: code of your own",)))
    after = replace(manifest, predictor=Served("compiled", 1e-12, 0.5))

    notes = release_notes(before, after, locks=LOCKS, signers=("a.pub (aa)", "b.pub (bb)"))

    assert section(notes, "Predictor") == [
        "- kind: hybrid -> compiled",
        "- slow parts: own\\_step: code of your own -> none",
    ]
    assert section(notes, "Signature") == ["- Signed by: a.pub (aa) -> b.pub (bb)"]
    assert section(release_notes(after, after, locks=LOCKS), "Predictor") == ["No change."]


def test_what_is_not_there_is_called_none_and_not_left_blank(manifest: Manifest) -> None:
    alone = replace(manifest, charter_digest="", table_version="")

    notes = release_notes(alone, manifest, locks=LOCKS)

    assert f"- Charter: none -> `{manifest.charter_digest[:12]}`" in notes
    assert f"- Table version: none -> {manifest.table_version}" in notes
    assert "- Table version: none, unchanged" in release_notes(alone, alone, locks=LOCKS)


def test_a_bundle_of_another_project_is_said(manifest: Manifest) -> None:
    other = replace(manifest, project="churn")

    assert "**The bundle before is of another project, churn.**" in release_notes(other, manifest, locks=LOCKS)


def test_text_from_data_stays_text_on_one_line(manifest: Manifest) -> None:
    amount, broker = manifest.features
    hostile = replace(broker, categories=("a", "b", "x\n# Approved\n<script>[go](http://evil)`"))

    notes = release_notes(manifest, replace(manifest, features=(amount, hostile)), locks=LOCKS)

    assert "\n# Approved" not in notes
    assert r"x \# Approved \<script\>\[go\](http://evil)\`" in notes


def test_many_new_categories_are_counted(manifest: Manifest) -> None:
    amount, broker = manifest.features
    many = replace(broker, categories=tuple(sorted(["a", "b", *(f"n{i:02}" for i in range(25))])))

    [line] = section(release_notes(manifest, replace(manifest, features=(amount, many)), locks=LOCKS), "Features")

    assert line.endswith("n08, n09 and 15 more")
