"""An installation's settings: all mistakes at once, and no secret where it can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from trueup.control.configuration import django_database, read_configuration
from trueup.control.errors import BadConfiguration

URL = "postgresql://trueup:s3cret@db.example:5433/trueup?sslmode=require"


def test_all_mistakes_are_told_together_and_no_secret_is(tmp_path: Path) -> None:
    wrong = {
        "TRUEUP_HOME": str(tmp_path),
        "TRUEUP_DATABASE_URL": "mysql://me:hunter2@db/x",
        "TRUEUP_DATABASE_UR": "x",
        "TRUEUP_HTTPS": "maybe",
        "TRUEUP_SECRET_KEY": "short-secret",
    }
    with pytest.raises(BadConfiguration) as told:
        read_configuration(wrong)
    message = told.value.message
    assert "TRUEUP_DATABASE_UR is not known" in message
    assert "TRUEUP_DATABASE_URL must be a postgresql:// URL" in message
    assert "TRUEUP_HTTPS must be yes or no" in message
    assert "12 characters; 32 or more" in message
    assert "hunter2" not in message
    assert "short-secret" not in message


def test_the_secret_is_made_once_kept_for_its_owner_and_never_shown(tmp_path: Path) -> None:
    environment = {"TRUEUP_HOME": str(tmp_path), "TRUEUP_DATABASE_URL": URL}
    first, second = read_configuration(environment), read_configuration(environment)
    assert first.secret_key == second.secret_key
    assert (tmp_path / "secret.key").stat().st_mode & 0o077 == 0
    assert first.secret_key not in repr(first)
    assert "s3cret" not in repr(first)


def test_a_url_says_where_the_database_is() -> None:
    found = django_database(URL)
    assert (found["HOST"], found["PORT"], found["NAME"], found["USER"]) == ("db.example", "5433", "trueup", "trueup")
    options = found["OPTIONS"]
    assert isinstance(options, dict)
    assert options["sslmode"] == "require"
    assert django_database("postgresql://me@/trueup?host=/run/pg")["HOST"] == "/run/pg"
