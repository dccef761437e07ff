"""The table of what was tried is kept as evidence and reads as words."""

from __future__ import annotations

from pathlib import Path

from trueup.bundle.candidates import Candidate, Offer
from trueup.bundle.golden import Replay
from trueup.bundle.latency import LatencyTable, describe_latencies, describe_shipped, read_latencies, tabulate
from trueup.bundle.proof import Cost, Proof

DIGEST = "ab" * 32
ORIGINAL = Candidate(Offer("original"), Proof(Replay(10, 0, 0.0), 0, Cost(8_000.0, 300.0, 1_000.0)))
HYBRID = Candidate(
    Offer("hybrid", {}, slow_parts=("prepare > add_ratio: it is code of the project",)),
    Proof(Replay(10, 0, 1e-16), 0, Cost(400.0, 300.0, 1_000.0)),
)
WRONG = Candidate(Offer("onnx", {}), Proof(Replay(10, 9, 0.98), 0, Cost(30.0, 60.0, 100.0)))
ABSENT = Candidate(Offer("compiled", why_not="prepare > add_ratio: it is code of the project"), None)


def table(shipped: Candidate = HYBRID) -> LatencyTable:
    lock = "python==3.12.1\nnumpy==2.4.6\n"
    return tabulate([ABSENT, WRONG, HYBRID, ORIGINAL], shipped, bundle=DIGEST, lock=lock, rows=10)


def test_times_are_counted_against_the_original() -> None:
    assert [timing.times_original for timing in table().candidates] == [None, 8_000 / 30, 20.0, 1.0]
    assert table().shipped.kind == "hybrid"


def test_a_table_is_read_back_from_its_bundle_only(tmp_path: Path) -> None:
    for name in (DIGEST, "cd" * 32):
        (tmp_path / name / "evidence").mkdir(parents=True)
        (tmp_path / name / table().path).write_bytes(table().content)
    (tmp_path / DIGEST / "evidence" / "latency-broken.json").write_text("{")

    assert read_latencies(tmp_path / DIGEST) == table()
    assert read_latencies(tmp_path / ("cd" * 32)) is None
    assert read_latencies(tmp_path) is None


def test_the_table_in_words_marks_what_ships_and_says_why_others_do_not() -> None:
    lines = describe_latencies(table())

    assert [line[:10] for line in lines[1:5]] == ["  compiled", "  onnx    ", "> hybrid  ", "  original"]
    assert lines[1].endswith("no: prepare > add_ratio: it is code of the project")
    assert lines[2].endswith("9 of 10 golden rows differ, the largest difference is 0.98")
    assert lines[3].split()[2:5] == ["400.0", "20.0", "1,000"]
    assert lines[5] == "  kept slow by prepare > add_ratio: it is code of the project"


def test_what_ships_is_one_sentence() -> None:
    assert describe_shipped(table()) == (
        "hybrid: 400 microseconds a row, from a request's bytes to its score, 20 times as fast as the original; "
        "kept slow by prepare > add_ratio: it is code of the project"
    )
