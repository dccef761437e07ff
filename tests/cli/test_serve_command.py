"""The first caller's token is kept before anybody is let in by it."""

from __future__ import annotations

from pathlib import Path

from trueup.cli.serve_command import first_token


def test_the_first_token_is_its_owners_alone_and_a_command_that_was_killed_goes_on_with_it(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "first.token"
    made = first_token(file)
    assert (file.stat().st_mode & 0o777, first_token(file), len(made)) == (0o600, made, 43)
    assert list(file.parent.iterdir()) == [file]
