"""People see what is in a bundle, what changed, and read it as release notes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from trueup.bundle.signing import ensure_signing_key, public_key_path, sign_folder
from trueup.bundle.trust import fingerprint
from trueup.cli.main import main


def test_show_tells_contents_and_certificate(project: Path, first: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "show", first[:6], "--project", str(project), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["digest"], told["project"], told["features"]) == (
        first,
        "application-fraud",
        ["amount (number)", "age (number)"],
    )
    assert [c["differing"] for c in told["certificates"]] == [0]
    assert (told["signer"]["name"], told["signer"]["until"]) == ("bundle-signing.key.pub", None)
    assert told["predictor"]["cutoff"] == 0.5

    assert main(["bundle", "show", first[:6], "--project", str(project)]) == 0
    assert "golden rows as in development" in capsys.readouterr().out


def test_diff_tells_both_sides(project: Path, first: str, second: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "diff", first, second, "--project", str(project), "--json"]) == 0
    changes = {c["what"]: (c["before"], c["after"]) for c in json.loads(capsys.readouterr().out)["changes"]}
    assert changes["table_version"] == ("applications@3", "applications@4")
    assert changes["metrics.training_rows"] == (200, 250)

    assert main(["bundle", "diff", first, first, "--project", str(project)]) == 0
    assert "the same bundle" in capsys.readouterr().out


def test_notes_are_markdown_on_the_screen_or_in_a_file(
    project: Path, first: str, second: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "notes", first, second, "--project", str(project)]) == 0
    shown = capsys.readouterr().out
    assert "- Final outcomes trained on: 200 -> 250\n" in shown
    assert "- payoff true positive: -30 -> -35\n" in shown

    file = tmp_path / "notes.md"
    assert main(["bundle", "notes", first, second, "--output", str(file), "--project", str(project)]) == 0
    assert file.read_text() == shown


def test_another_signer_is_a_change(
    project: Path, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundles = project / ".trueup" / "lake" / "bundles"
    copied = shutil.copytree(bundles / first, tmp_path / first)
    sign_folder(copied, signing_key=ensure_signing_key(tmp_path / "partner.key"))
    partner = public_key_path(tmp_path / "partner.key")
    assert main(["bundle", "trust", str(partner), "--project", str(project), "--until", "2999-12-31"]) == 0
    capsys.readouterr()

    assert main(["bundle", "diff", str(bundles / first), str(copied), "--project", str(project), "--json"]) == 0
    [change] = json.loads(capsys.readouterr().out)["changes"]
    assert change["what"] == "signer"
    assert change["before"].startswith("bundle-signing.key.pub (")
    assert change["after"] == f"partner.key.pub ({fingerprint(partner)[:16]}, trusted until 2999-12-31)"

    assert main(["bundle", "notes", str(bundles / first), str(copied), "--project", str(project)]) == 0
    assert "- Signed by: bundle-signing.key.pub" in capsys.readouterr().out


@pytest.mark.parametrize("action", ["show", "diff", "notes", "export"])
@pytest.mark.usefixtures("nothing_runs")
def test_nothing_is_told_of_a_bundle_that_does_not_verify(
    project: Path, first: str, second: str, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = project / ".trueup" / "lake" / "bundles" / first / "environment.lock"
    lock.write_text(lock.read_text().replace("numpy==", "numpy ==", 1))
    more = [second] if action in {"diff", "notes"} else []

    assert main(["bundle", action, first, *more, "--project", str(project), "--json"]) == 1

    assert json.loads(capsys.readouterr().out)["error"]["code"] == "bundle.files-differ"


def test_payoffs_are_shown_cell_by_cell(
    project: Path, first: str, second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "show", first, "--project", str(project)]) == 0
    assert "  payoff.true_positive -30\n" in capsys.readouterr().out

    assert main(["bundle", "diff", first, second, "--project", str(project)]) == 0
    assert "  policy.payoff.true_positive: -30 -> -35\n" in capsys.readouterr().out
