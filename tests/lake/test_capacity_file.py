"""All processes of a host together never act on more cases than the period allows, whatever dies when."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lake.failing_disk import BROKEN, FailingDisk, in_turn

from trueup.align.allocation import Pace
from trueup.align.streaming import MemoryTokens, StreamDecider, Terms
from trueup.kernel.periods import Calendar
from trueup.lake.capacity_file import CapacityFile, CapacityUnavailable

MAY, JUNE = 1_462_053_600_000_000, 1_464_732_000_000_000
HAMMER = """
import sys
from pathlib import Path
from trueup.lake.capacity_file import CapacityFile
who, cases, together = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
tokens = CapacityFile(Path(sys.argv[1]), sync=together > 1)
number = 0
while tokens.used(0)[0] < cases:
    names = [f"{who}-{number + more}" for more in range(together)]
    taken = [name for name in names if tokens.take(0, name.encode(), exploring=False, most=cases, in_all=cases)]
    tokens.sync()
    print(*taken, sep="\\n", flush=True)
    number += together
"""


def take(
    tokens: CapacityFile, name: str, *, start: int = MAY, most: int = 3, in_all: int = 3, exploring: bool = False
) -> bool:
    return tokens.take(start, name.encode(), exploring=exploring, most=most, in_all=in_all)


def test_processes_share_one_count(tmp_path: Path) -> None:
    one, other = CapacityFile(tmp_path), CapacityFile(tmp_path)
    assert [take(one, "a"), take(other, "b"), take(one, "c"), take(other, "d"), take(one, "e")] == [True] * 3 + [
        False
    ] * 2
    assert one.used(MAY) == other.used(MAY) == (3, 0)


def test_a_retry_at_another_process_finds_its_token_even_when_none_is_left(tmp_path: Path) -> None:
    one, other = CapacityFile(tmp_path), CapacityFile(tmp_path)
    assert other.used(MAY) == (0, 0)
    assert all(take(one, name) for name in "abc")
    assert all(take(other, name) for name in "cba")
    assert other.used(MAY) == (3, 0)


def test_tokens_for_exploration_are_counted_apart_and_together(tmp_path: Path) -> None:
    tokens = CapacityFile(tmp_path)
    assert take(tokens, "r1", exploring=True, most=1)
    assert not take(tokens, "r2", exploring=True, most=1)
    assert [take(tokens, name, most=2) for name in "abc"] == [True, True, False]
    assert tokens.used(MAY) == (3, 1)


def test_each_period_has_tokens_of_its_own_and_a_clock_that_goes_back_finds_the_old_ones(tmp_path: Path) -> None:
    tokens = CapacityFile(tmp_path)
    tries = [(start, name) for start, names in ((MAY, "ab"), (JUNE, "cd"), (MAY, "ef")) for name in names]
    assert [take(tokens, name, start=start, most=1) for start, name in tries] == [
        True,
        False,
        True,
        False,
        False,
        False,
    ]


def test_a_clock_that_goes_back_by_many_periods_finds_what_is_kept(tmp_path: Path) -> None:
    tokens = CapacityFile(tmp_path)
    assert [take(tokens, "x", start=start, most=1) for start in (1, 2, 3, 4, 5, 6)] == [True] * 6
    assert not take(tokens, "y", start=1, most=1)
    assert take(tokens, "y", start=1, most=2)
    assert tokens.used(1) == (2, 0)


def test_all_processes_see_what_was_used_when_the_first_of_them_came_to_a_slot(tmp_path: Path) -> None:
    first, second = CapacityFile(tmp_path), CapacityFile(tmp_path)
    assert take(first, "a")
    assert first.used_before(MAY, MAY + 60) == (1, 0)
    assert take(first, "b", exploring=True)
    assert second.used_before(MAY, MAY + 60) == first.used_before(MAY, MAY + 60) == (1, 0)
    assert second.used_before(MAY, MAY + 120) == (2, 1)
    assert CapacityFile(tmp_path).used_before(MAY, MAY + 60) == (1, 0)  # one that was started again
    assert second.used(MAY) == (2, 1)


def test_old_files_go_and_their_periods_are_closed(tmp_path: Path) -> None:
    tokens = CapacityFile(tmp_path, kept_periods=2)
    assert all(take(tokens, "x", start=start) for start in (10, 20, 30))
    assert sorted(path.name for path in tmp_path.glob("*.tokens")) == ["20.tokens", "30.tokens"]
    fresh = CapacityFile(tmp_path, kept_periods=2)
    assert not take(fresh, "y", start=10)
    assert fresh.allowed(10, 3) == (0, 1.0)
    assert fresh.used(10)[0] > 1_000_000
    assert fresh.used_before(10, 10)[0] > 1_000_000
    assert take(fresh, "y", start=20)


@pytest.mark.parametrize("size", range(33, 64))
def test_an_entry_that_was_torn_counts_as_used(tmp_path: Path, size: int) -> None:
    tokens = CapacityFile(tmp_path)
    assert take(tokens, "a")
    assert take(tokens, "b")
    os.truncate(tmp_path / f"{MAY}.tokens", size)  # as a kill or a full disk may leave it
    fresh = CapacityFile(tmp_path)
    assert fresh.used(MAY) == (2, 0)
    assert [take(fresh, "c"), take(fresh, "d")] == [True, False]
    assert CapacityFile(tmp_path).used(MAY) == (3, 0)


@given(content=st.binary(max_size=200))
def test_no_content_of_the_file_creates_a_token(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("tokens")
    (folder / f"{MAY}.tokens").write_bytes(content)
    tokens = CapacityFile(folder)
    taken = sum(take(tokens, str(n), most=8, in_all=8) for n in range(9))
    assert taken == max(0, 8 - -(-len(content) // 32))


def test_what_an_operator_lowered_holds_for_processes_that_have_not_heard_yet(tmp_path: Path) -> None:
    told, behind = CapacityFile(tmp_path), CapacityFile(tmp_path)
    assert take(behind, "a")
    told.limit(MAY, 2, version=8)
    assert behind.allowed(MAY, 3) == (2, 1.0)
    assert [take(behind, "b"), take(behind, "c")] == [True, False]
    told.limit(MAY, 1, version=7)  # late news counts for nothing
    told.limit(MAY, 3, version=9)  # lifted again
    assert take(behind, "c")


def test_tokens_given_away_are_gone_but_never_those_already_used(tmp_path: Path) -> None:
    tokens = CapacityFile(tmp_path)
    assert take(tokens, "a")
    assert take(tokens, "b")
    assert tokens.lower(MAY, 1) == 2
    assert not take(CapacityFile(tmp_path), "c")
    assert tokens.lower(MAY, 3) == 2


@pytest.mark.parametrize("together", [1, 10])
def test_killed_processes_never_make_a_token(tmp_path: Path, together: int) -> None:
    """Also where they sync several together, as with durability `disk`."""
    cases, said = 4_000, []
    for number in range(12):
        command = [sys.executable, "-c", HAMMER, str(tmp_path)]
        pair = [
            subprocess.Popen([*command, f"{number}{who}", str(cases), str(together)], stdout=subprocess.PIPE, text=True)
            for who in "xy"
        ]
        assert pair[0].stdout is not None
        for _ in range(60):
            line = pair[0].stdout.readline()
            if line.endswith("\n"):
                said.append(line.strip())
        for process in pair:
            process.send_signal(signal.SIGKILL)
            rest, _ = process.communicate()
            said += [line.strip() for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    said = [name for name in said if name]
    used, _ = CapacityFile(tmp_path).used(0)
    assert len(said) == len(set(said)) <= used <= cases
    # a kill may waste the tokens that were being taken, those of one commit for each process
    assert used - len(said) <= 24 * together
    tokens = CapacityFile(tmp_path)
    assert all(take(tokens, name, start=0, most=cases, in_all=cases) for name in said)
    assert tokens.used(0)[0] == used


def test_a_process_that_is_stopped_with_the_lock_does_not_hold_up_the_others_for_long(tmp_path: Path) -> None:
    tokens = CapacityFile(tmp_path)
    assert take(tokens, "a")
    stopped = os.open(tmp_path / f"{MAY}.tokens", os.O_RDWR)
    fcntl.flock(stopped, fcntl.LOCK_EX)
    with pytest.raises(CapacityUnavailable, match="lock"):
        take(tokens, "b")
    assert take(tokens, "a")  # known without asking
    os.close(stopped)
    assert take(tokens, "b")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CapacityUnavailable, match="cannot be counted"):
        CapacityFile(tmp_path / "file" / "tokens")


def test_files_and_memory_decide_alike(tmp_path: Path) -> None:
    terms = Terms(Calendar("UTC", "day"), 5, exploration_share=0.4, control_group=0.2)
    pace = Pace(np.ones(168), 0, np.array([9.0, 5.0, 1.0, -1.0]))
    rng = np.random.default_rng(4)
    deciders = [
        StreamDecider(terms, pace=pace, tokens=tokens) for tokens in (MemoryTokens(), CapacityFile(tmp_path, sync=True))
    ]
    moments = MAY + np.sort(rng.integers(0, 4 * 86_400_000_000, 300))
    for i, (moment, gain) in enumerate(zip(moments.tolist(), rng.normal(2, 4, 300).tolist(), strict=True)):
        one, other = (
            decider.decide(moment=moment, gain=gain, unit=i * 7919, prediction_id=i.to_bytes(20, "big"), baseline=True)
            for decider in deciders
        )
        assert one == other


def test_who_waited_for_the_lock_in_vain_does_not_wait_again_until_it_is_free(tmp_path: Path) -> None:
    tokens = CapacityFile(tmp_path, wait_seconds=0.005)
    assert take(tokens, "a")
    held = os.open(tmp_path / f"{MAY}.tokens", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    for name in "bc":
        with pytest.raises(CapacityUnavailable, match="lock"):
            take(tokens, name)
    os.close(held)
    assert take(tokens, "b")


def test_all_tokens_taken_since_are_on_the_disk_with_one_sync(tmp_path: Path) -> None:
    disk = FailingDisk()
    tokens = CapacityFile(tmp_path, sync=True, disk=disk)
    assert all(take(tokens, f"{number}", most=100, in_all=100) for number in range(100))
    assert disk.flushes == 0
    tokens.sync()
    tokens.sync()
    assert disk.flushes == 1
    assert take(tokens, "more", start=JUNE)
    tokens.sync()
    assert disk.flushes == 2


def test_without_durability_disk_nothing_waits_for_the_disk(tmp_path: Path) -> None:
    disk = FailingDisk()
    tokens = CapacityFile(tmp_path, disk=disk)
    assert take(tokens, "a")
    tokens.sync()
    assert disk.flushes == 0


def test_who_answers_by_the_token_of_another_process_syncs_it_too(tmp_path: Path) -> None:
    one, disk = CapacityFile(tmp_path, sync=True), FailingDisk()
    other = CapacityFile(tmp_path, sync=True, disk=disk)
    assert take(one, "a")
    assert other.taken(MAY, b"a") is False
    other.sync()
    assert disk.flushes == 1


def test_tokens_that_the_disk_refused_are_written_again_with_the_next_sync(tmp_path: Path) -> None:
    tokens = CapacityFile(tmp_path, sync=True, disk=FailingDisk(on_flush=in_turn(None, BROKEN)))
    assert take(tokens, "kept")
    tokens.sync()
    assert take(tokens, "a")
    assert take(tokens, "b")
    with pytest.raises(CapacityUnavailable, match="cannot be counted"):
        tokens.sync()
    file = tmp_path / f"{MAY}.tokens"
    whole = file.read_bytes()
    file.write_bytes(whole[:32] + bytes(64))  # an operating system may forget what a disk refused
    tokens.sync()
    assert file.read_bytes() == whole


def test_nobody_waits_for_the_disk_of_another_process(tmp_path: Path) -> None:
    entered, gate = threading.Event(), threading.Event()

    def waits() -> None:
        entered.set()
        assert gate.wait(60)

    one = CapacityFile(tmp_path, sync=True, disk=FailingDisk(on_flush=waits))
    other = CapacityFile(tmp_path, sync=True, wait_seconds=0.0)
    assert take(one, "a")
    syncing = threading.Thread(target=one.sync)
    syncing.start()
    assert entered.wait(60)
    assert take(other, "b")
    assert take(one, "c")
    gate.set()
    syncing.join()
    one.close()


def test_a_limit_is_on_the_disk_before_it_is_said_whatever_the_durability(tmp_path: Path) -> None:
    disk = FailingDisk(on_flush=in_turn(None, None, BROKEN))
    tokens = CapacityFile(tmp_path, disk=disk)
    tokens.limit(MAY, 2, version=1)
    assert tokens.lower(MAY, 1) == 1
    assert disk.flushes == 2
    with pytest.raises(CapacityUnavailable):
        tokens.lower(MAY, 0)


def test_a_period_whose_tokens_are_not_on_the_disk_yet_is_kept_open(tmp_path: Path) -> None:
    disk = FailingDisk()
    tokens = CapacityFile(tmp_path, sync=True, disk=disk)
    starts = [MAY + number for number in range(6)]
    assert all(take(tokens, "a", start=start) for start in starts)
    tokens.sync()
    assert disk.flushes == len(starts)
