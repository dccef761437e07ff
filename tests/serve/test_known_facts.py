from __future__ import annotations

from trueup.serve.known_facts import KnownFacts


def test_what_was_said_under_an_id_is_known_until_others_came_since() -> None:
    known = KnownFacts(most=2)
    known.keep([(b"1", b"yes"), (b"2", b"yes")])
    assert known.find_contradiction([(b"2", b"yes"), (b"1", b"no")]) == 1
    known.keep([(b"1", b"yes"), (b"3", b"yes")])  # told again, the first is no longer the oldest
    assert known.find_contradiction([(b"2", b"no")]) is None
    assert known.find_contradiction([(b"1", b"no")]) == 0
