"""A model in a process of its own dies and comes back, and takes over from others, while every request is answered.

The changes at full length: ``python -m benchmarks.endurance swap-elsewhere``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import uvloop
from benchmarks.enduring.asking import Requests, port_of
from benchmarks.enduring.processes import Models, kill_model, make_models, model_processes, scores_by
from benchmarks.enduring.swapping import Swapping, scores_of
from tests.serve.lakes import TOKEN
from tests.serve.running import serving, until

from trueup.lake.desired_state import BundleRole, DesiredState, ServerStatus, change_desired, read_statuses


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def variables(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in models.variables.items():
        monkeypatch.setenv(name, value)


def let_decide(models: Models, digest: str) -> None:
    def change(state: DesiredState | None) -> DesiredState:
        assert state is not None
        return msgspec.structs.replace(state, bundles=(BundleRole(digest, "champion"),))

    change_desired(models.lake.store, models.lake.project, change)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_killed_model_is_started_again_and_the_fallback_decides_meanwhile(
    models: Models, tmp_path: Path, where: str
) -> None:
    lake, digest, spool = models.lake, str(getattr(models, where)), tmp_path / "spool"
    let_decide(models, digest)
    requests = Requests(lake.project)
    scores = scores_by(lake, digest, spool, rows=requests.rows)

    def of_status() -> ServerStatus:
        [status] = [each for each in read_statuses(lake.store, lake.project) if each.server.endswith(f"-{worker}")]
        return status

    with serving(lake.store.folder, "--trust", str(lake.trusted[0]), spool=spool, token=TOKEN) as server:
        [worker] = server.workers()
        died = uvloop.run(kill_model(port_of(server.url), worker, requests, scores))
        assert died.wrong == []
        assert died.fallbacks > 0
        until(lambda: [bundle.restarts for bundle in of_status().bundles] == [1] and of_status().problem is None)
        assert f'trueup_model_restarts_total{{digest="{digest}"}} 1' in server.client.get("/metrics").text
        left = model_processes(worker)
        assert len(left) == 1
        assert server.stop() == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in left)


def test_a_champion_in_another_environment_takes_over_under_load_without_a_failed_request(
    models: Models, tmp_path: Path
) -> None:
    lake, spool = models.lake, tmp_path / "spool"
    let_decide(models, lake.old)
    requests = Requests(lake.project)
    scores: dict[str, Sequence[float | None]] = {
        lake.old: scores_of(lake.store.folder / "bundles", lake.old, trusted=lake.trusted, rows=requests.rows),
        models.elsewhere: scores_by(lake, models.elsewhere, spool, rows=requests.rows),
    }
    with serving(lake.store.folder, "--trust", str(lake.trusted[0]), spool=spool, token=TOKEN) as server:
        swapping = Swapping(lake, requests, scores)
        run = swapping.run(port_of(server.url), flips=6, seconds=1.5, connections=32, others=[models.elsewhere])
        found = uvloop.run(run)
    assert (found.failed, found.wrong, found.fallbacks) == ([], [], 0)
    assert len(found.flip_seconds) == 6
