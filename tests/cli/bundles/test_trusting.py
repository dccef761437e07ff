"""Whose bundles are believed is listed, extended, and ended."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from trueup.bundle.signing import ensure_signing_key, public_key_path
from trueup.cli.main import main


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return the public key of somebody else."""
    return public_key_path(ensure_signing_key(tmp_path / "other" / "partner.key"))


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Return the keys that a command lists."""
    capsys.readouterr()
    assert main(["bundle", "trust", *arguments, "--json"]) == 0
    keys: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["keys"]
    return keys


def test_a_partners_key_lets_their_bundle_in_until_it_is_revoked(
    project: Path, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = str(tmp_path / "mine")
    key = str(project / ".trueup" / "keys" / "bundle-signing.key.pub")
    assert main(["bundle", "export", first, "--into", str(tmp_path), "--project", str(project)]) == 0
    take = ["bundle", "import", str(tmp_path / f"{first}.trueup.tar.gz"), "--project", mine]
    assert main(take) == 1

    [trusted] = listed(capsys, key, "--until", "2999-12-31", "--project", mine)
    assert trusted["state"] == "trusted until 2999-12-31"
    assert main(take) == 0

    [trusted] = listed(capsys, "bundle-signing.key", "--revoke", "left the company", "--project", mine)
    assert (trusted["until"], trusted["state"]) == ("2999-12-31", "revoked: left the company")
    assert main(["bundle", "verify", first[:6], "--project", mine]) == 1


def test_a_day_that_is_over_is_told(project: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, partner = listed(capsys, str(other), "--until", "2001-01-01", "--project", str(project))

    assert (own["name"], own["state"]) == ("bundle-signing.key.pub", "trusted")
    assert (partner["name"], partner["state"]) == ("partner.key.pub", "expired on 2001-01-01")


@pytest.mark.parametrize("again", [[], ["--until", "2999-12-31"]])
def test_a_revoked_key_is_not_trusted_again_under_any_name(
    project: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], again: list[str]
) -> None:
    listed(capsys, str(other), "--revoke", "lost", "--project", str(project))
    copied = str(shutil.copy(other, tmp_path / "new-name.pub"))

    for named in ("partner.key", copied):
        assert main(["bundle", "trust", named, *again, "--project", str(project)]) == 1
        assert "was revoked (lost), and that is for good" in capsys.readouterr().err

    _, partner = listed(capsys, "--project", str(project))
    assert (partner["until"], partner["state"]) == (None, "revoked: lost")


def test_a_last_day_is_of_the_key_whatever_its_name(
    project: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(capsys, str(other), "--until", "2999-12-31", "--project", str(project))
    copied = str(shutil.copy(other, tmp_path / "new-name.pub"))

    [_, partner] = listed(capsys, copied, "--until", "2001-01-01", "--project", str(project))

    assert (partner["name"], partner["state"]) == ("partner.key.pub", "expired on 2001-01-01")


def test_the_list_says_of_a_revoked_key_that_it_is_under_every_name(
    project: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(capsys, str(other), "--project", str(project))
    trusted = project / ".trueup" / "keys" / "trusted"
    shutil.copy(trusted / "partner.key.pub", trusted / "again.pub")
    (trusted / "again.pub").write_text("Trueup-Revoked: lost\n" + (trusted / "again.pub").read_text())

    states = {key["name"]: key["state"] for key in listed(capsys, "--project", str(project))}

    assert states["partner.key.pub"] == states["again.pub"] == "revoked: lost"


def test_a_revocation_has_a_reason(project: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for reason in ("", "  "):
        assert main(["bundle", "trust", str(other), "--revoke", reason, "--project", str(project)]) == 2
    assert "say why the key is revoked" in capsys.readouterr().err


def test_a_key_does_not_replace_another_of_the_same_name(
    project: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    impostor = public_key_path(ensure_signing_key(tmp_path / "impostor" / "partner.key"))
    keys = listed(capsys, str(other), "--project", str(project))

    assert main(["bundle", "trust", str(impostor), "--project", str(project)]) == 2

    assert listed(capsys, "--project", str(project)) == keys


@pytest.mark.parametrize(
    "wrong", [["none.pub"], ["--until", "2027-01-01"], ["{other}", "--until", "soon"], ["{private}"]]
)
def test_what_cannot_be_trusted_is_bad_input(project: Path, other: Path, wrong: list[str]) -> None:
    private = other.with_name("partner.key")
    arguments = [part.format(other=other, private=private) for part in wrong]

    assert main(["bundle", "trust", *arguments, "--project", str(project)]) == 2
    assert not (project / ".trueup" / "keys" / "trusted").exists()


def test_without_any_key_the_list_says_how_to_get_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "trust", "--project", str(tmp_path)]) == 0

    assert "No key is trusted here yet" in capsys.readouterr().out
    assert not any(tmp_path.iterdir())


def test_a_bundle_of_the_old_key_and_of_the_new_one_are_both_believed_during_a_rotation(
    project: Path, first: str, other: Path
) -> None:
    keys = project / ".trueup" / "keys"
    (keys / "trusted").mkdir()
    (keys / "bundle-signing.key.pub").rename(keys / "trusted" / "old.pub")
    shutil.copy(other.with_name("partner.key"), keys / "bundle-signing.key")
    shutil.copy(other, keys / "bundle-signing.key.pub")

    assert main(["bundle", "verify", first, "--project", str(project)]) == 0
