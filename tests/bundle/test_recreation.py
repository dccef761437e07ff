"""An environment is planned from a lock: named by what it holds, and only with hashes."""

from __future__ import annotations

from pathlib import Path

import pytest

from trueup.bundle.environment import lock_environment
from trueup.bundle.errors import EnvironmentUnavailable, LockRefused
from trueup.bundle.recreation import make_environment, plan_environment

LOCK = f"python==3.11.7\nbeta==2 --hash=sha256:{'b' * 64}\nalpha==1 --hash=sha256:{'a' * 64}\ntrueup==0.1.0\n"


def test_a_plan_has_every_distribution_with_its_hash_but_python_and_trueup(tmp_path: Path) -> None:
    plan = plan_environment(LOCK, cache=tmp_path)

    assert plan.requirements == f"alpha==1 --hash=sha256:{'a' * 64}\nbeta==2 --hash=sha256:{'b' * 64}\n"
    assert plan.python == "3.11.7"
    assert not plan.is_ready
    assert list(tmp_path.iterdir()) == []


def test_another_version_hash_or_python_is_another_environment(tmp_path: Path) -> None:
    locks = [LOCK, LOCK.replace("beta==2", "beta==3"), LOCK.replace("bb", "bc"), LOCK.replace("3.11.7", "3.11.8")]

    folders = {plan_environment(lock, cache=tmp_path).folder for lock in locks}

    assert len(folders) == 4
    assert plan_environment(LOCK, cache=tmp_path).folder in folders


def test_a_distribution_without_hash_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LockRefused, match=r"1 distributions .* \(alpha\)"):
        plan_environment(LOCK.replace(f" --hash=sha256:{'a' * 64}", ""), cache=tmp_path)


def test_every_distribution_of_a_lock_made_here_can_be_fetched_again(tmp_path: Path) -> None:
    assert "numpy==" in plan_environment(lock_environment(), cache=tmp_path).requirements


def test_a_python_that_is_not_here_is_named(tmp_path: Path) -> None:
    plan = plan_environment(LOCK.replace("3.11.7", "3.99.1"), cache=tmp_path)

    with pytest.raises(EnvironmentUnavailable, match=r"there is no python3\.99"):
        make_environment(plan)


def test_a_place_that_cannot_be_written_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(EnvironmentUnavailable, match="XDG_CACHE_HOME"):
        make_environment(plan_environment(LOCK, cache=tmp_path / "file"))
