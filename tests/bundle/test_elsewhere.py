"""A bundle answers from a process of another environment as it answers here, and its end is told."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serve.running import until

from trueup.bundle.elsewhere import Elsewhere
from trueup.bundle.errors import BundleError, BundleRefused, ModelFailed, RowBreaksSchema
from trueup.bundle.loading import open_bundle
from trueup.bundle.package import BundleRef

ROWS = ['{"amount":0.5,"age":40}', '{"amount":-1.25,"age":70.5}', '{"amount":null,"age":30}']
HERE = Path(sys.executable)


@pytest.fixture
def elsewhere(fast_bundle: BundleRef, trusted: list[Path]) -> Iterator[Elsewhere]:
    opened = Elsewhere(HERE, fast_bundle.path, trusted_keys=trusted)
    yield opened
    opened.close()


def test_it_gives_the_very_answers_of_this_process(
    elsewhere: Elsewhere, fast_bundle: BundleRef, trusted: list[Path]
) -> None:
    with open_bundle(fast_bundle.path, trusted_keys=trusted) as here:
        assert elsewhere.score_requests(ROWS) == here.answering.score_requests(ROWS)
    assert elsewhere.score_requests(ROWS)[2] is None


def test_a_row_that_breaks_the_schema_is_told_and_the_next_is_answered(elsewhere: Elsewhere) -> None:
    with pytest.raises(RowBreaksSchema, match="age"):
        elsewhere.score_requests(['{"amount":0.5}'])
    assert elsewhere.score_requests(ROWS[:1])[0] is not None


def test_a_changed_bundle_is_refused_there_too(fast_bundle: BundleRef, trusted: list[Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(fast_bundle.path, tmp_path / fast_bundle.digest))
    (folder / "golden.jsonl").write_text("{}")
    with pytest.raises(BundleRefused, match=r"golden\.jsonl"):
        Elsewhere(HERE, folder, trusted_keys=trusted)


def test_an_interpreter_without_trueup_says_what_it_lacks(
    fast_bundle: BundleRef, trusted: list[Path], tmp_path: Path
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'No module named trueup' >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(ModelFailed, match="No module named trueup"):
        Elsewhere(script, fast_bundle.path, trusted_keys=trusted)


def test_a_process_that_answers_too_late_is_ended(fast_bundle: BundleRef, trusted: list[Path], tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    script.chmod(0o755)
    with pytest.raises(ModelFailed, match="ended"):
        Elsewhere(script, fast_bundle.path, trusted_keys=trusted, seconds=0.05)


def test_closed_it_answers_no_more(elsewhere: Elsewhere) -> None:
    elsewhere.close()
    with pytest.raises(ModelFailed, match="closed"):
        elsewhere.score_requests(ROWS)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_model_that_dies_or_hangs_there_ends_the_process_that_asks_it_too(
    bundle: BundleRef, trusted: list[Path], how: signal.Signals
) -> None:
    opened = Elsewhere(HERE, bundle.path, trusted_keys=trusted)
    [model] = Path(f"/proc/{opened.pid}/task/{opened.pid}/children").read_text().split()
    opened.answer_within(0.5)
    os.kill(int(model), how)
    with pytest.raises(BundleError, match="process"):
        opened.score_requests(['{"amount":0.5,"broker":"a"}'])
    until(lambda: opened.has_ended)
    assert not Path(f"/proc/{model}").exists()
    opened.close()


def test_a_model_that_dies_there_while_nobody_asks_ends_the_process_that_asks_it_too(
    bundle: BundleRef, trusted: list[Path]
) -> None:
    opened = Elsewhere(HERE, bundle.path, trusted_keys=trusted)
    [model] = Path(f"/proc/{opened.pid}/task/{opened.pid}/children").read_text().split()
    assert len(opened.score_requests(['{"amount":0.5,"broker":"a"}'])) == 1
    os.kill(int(model), signal.SIGKILL)
    until(lambda: opened.has_ended)
    opened.close()


def test_a_process_that_goes_on_without_a_word_is_ended(
    fast_bundle: BundleRef, trusted: list[Path], tmp_path: Path
) -> None:
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\nexec >&-\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    script.chmod(0o755)
    with pytest.raises(ModelFailed, match="ended"):
        Elsewhere(script, fast_bundle.path, trusted_keys=trusted)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
