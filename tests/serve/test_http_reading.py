"""Are the same requests read however their bytes are cut, and is everything else refused cleanly?"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.serve.errors import RequestRefused
from trueup.serve.http_limits import FrontLimits
from trueup.serve.http_messages import Request, Response
from trueup.serve.http_reading import RequestReader

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
BODIES = st.binary(max_size=60)
Facts = tuple[bytes, bytes, bytes, dict[bytes, bytes], bytes]


@dataclass
class Taker:
    """Keeps what was read."""

    read: list[Facts] = field(default_factory=list)
    invited: int = 0

    def take(self, request: Request) -> None:
        self.read.append((request.method, request.path, request.query, dict(request.headers), request.body))

    def holds(self, size: int) -> None:
        """Nobody counts here."""

    def invite_body(self) -> None:
        self.invited += 1

    def answer(self, request: Request, response: Response) -> None:
        raise AssertionError("nothing is answered here")


@st.composite
def a_request(draw: st.DrawFn) -> tuple[bytes, Facts]:
    """Return the bytes of a request and what is in them."""
    path, query, body = draw(TOKENS), draw(TOKENS), draw(BODIES)
    headers = {f"x-{name}": draw(TOKENS) for name in draw(st.lists(TOKENS, max_size=4))}
    lines = [f"POST /{path}?{query} HTTP/1.1", "Host: here", *(f"{name}:  {value} " for name, value in headers.items())]
    facts = {b"host": b"here", **{name.encode(): value.encode() for name, value in headers.items()}}
    upgrades = draw(st.booleans())
    if upgrades:
        lines += ["Connection: upgrade", "Upgrade: h2c"]
        facts |= {b"connection": b"upgrade", b"upgrade": b"h2c"}
    if draw(st.booleans()):
        lines.append(f"Content-Length: {len(body)}")
        facts[b"content-length"] = str(len(body)).encode()
        sent = body
    else:
        lines.append("Transfer-Encoding: chunked")
        facts[b"transfer-encoding"] = b"chunked"
        size = draw(st.integers(1, 20))
        parts = [body[start : start + size] for start in range(0, len(body), size)]
        sent = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
    head = "\r\n".join([*lines, "", ""]).encode()
    return head + sent, (b"POST", b"/" + path.encode(), query.encode(), facts, body)


@given(requests=st.lists(a_request(), min_size=1, max_size=4), cuts=st.lists(st.integers(0, 2_000), max_size=40))
def test_the_same_requests_are_read_however_their_bytes_are_cut(
    requests: list[tuple[bytes, Facts]], cuts: list[int]
) -> None:
    stream = b"".join(data for data, _ in requests)
    taker = Taker()
    reader = RequestReader(taker, FrontLimits())
    edges = sorted({0, *(cut % len(stream) for cut in cuts), len(stream)})
    for start, stop in itertools.pairwise(edges):
        reader.feed(memoryview(stream)[start:stop])
    assert taker.read == [facts for _, facts in requests]


MUTATED = st.tuples(a_request(), st.integers(0, 400), st.binary(max_size=8)).map(
    lambda drawn: drawn[0][0][: drawn[1]] + drawn[2] + drawn[0][0][drawn[1] :]
)


@given(parts=st.lists(st.one_of(st.binary(max_size=200), MUTATED), min_size=1, max_size=6))
def test_garbage_is_refused_with_a_clean_status_or_waits_for_more(parts: list[bytes]) -> None:
    reader = RequestReader(Taker(), FrontLimits(body_bytes=1_000))
    statuses = []
    try:
        for part in parts:
            reader.feed(part)
    except RequestRefused as error:
        statuses.append(error.status)
    assert set(statuses) <= {400, 405, 413, 414, 415, 417, 431, 505}


def test_headers_without_an_end_are_refused_before_they_fill_memory() -> None:
    reader = RequestReader(Taker(), FrontLimits(header_bytes=100, target_bytes=100))
    reader.feed(b"GET / HTTP/1.1\r\nHost: ")
    for _ in range(7):
        reader.feed(b"a" * 100)
    with pytest.raises(RequestRefused, match="headers") as refused:
        reader.feed(b"a" * 100)
    assert refused.value.status == 431


def test_trailers_without_an_end_are_refused_before_they_fill_memory() -> None:
    reader = RequestReader(Taker(), FrontLimits(header_bytes=100, target_bytes=100))
    reader.feed(b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: ")
    for _ in range(8):
        reader.feed(b"a" * 100)
    with pytest.raises(RequestRefused) as refused:
        reader.feed(b"a" * 100)
    assert refused.value.status == 431


def test_a_long_body_is_no_long_head() -> None:
    taker = Taker()
    reader = RequestReader(taker, FrontLimits(header_bytes=100, target_bytes=100))
    reader.feed(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 5000\r\n\r\n" + b"a" * 3_000)
    reader.feed(b"a" * 2_000)
    assert [len(body) for *_, body in taker.read] == [5_000]
