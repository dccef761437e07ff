from __future__ import annotations

import pytest

from trueup.lake.desired_state import TokenGrant, token_digest
from trueup.serve.callers import ANYBODY, Callers
from trueup.serve.refusals import NoToken, WrongScope

NOW = 1_000
GRANTS = (
    TokenGrant("shop", token_digest("shop-token"), ("predict", "facts")),
    TokenGrant("prometheus", token_digest("metrics-token"), ("metrics",)),
    TokenGrant("guest", token_digest("guest-token"), ("predict",), until=NOW + 1),
)


@pytest.mark.parametrize("header", [b"Bearer shop-token", b"bearer shop-token", b"Bearer  shop-token "])
def test_a_known_token_names_its_caller_the_first_time_and_again(header: bytes) -> None:
    callers = Callers(GRANTS)
    assert [callers.name_of(header, scope="predict", now=NOW) for _ in range(2)] == ["shop", "shop"]


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Basic shop-token", b"shop-token", b"Bearer other", b"\xff\xfe"]
)
def test_no_token_and_an_unknown_one_are_told_how_to_ask(header: bytes | None) -> None:
    with pytest.raises(NoToken) as refused:
        Callers(GRANTS).name_of(header, scope="predict", now=NOW)
    assert refused.value.status == 401
    assert refused.value.headers[0][0] == b"www-authenticate"
    assert b"other" not in refused.value.body.replace(b"another", b"")


def test_a_token_is_good_for_its_scopes_only() -> None:
    with pytest.raises(WrongScope, match='not good for "metrics"') as refused:
        Callers(GRANTS).name_of(b"Bearer shop-token", scope="metrics", now=NOW)
    assert refused.value.status == 403


def test_a_token_ends_at_its_moment_although_it_was_good_before() -> None:
    callers = Callers(GRANTS)
    assert callers.name_of(b"Bearer guest-token", scope="predict", now=NOW) == "guest"
    with pytest.raises(NoToken, match="has ended"):
        callers.name_of(b"Bearer guest-token", scope="predict", now=NOW + 1)


def test_any_token_that_has_not_ended_lets_its_caller_in() -> None:
    callers = Callers(GRANTS)
    for token in (b"shop-token", b"metrics-token", b"guest-token"):
        callers.admit(b"Bearer " + token, now=NOW)
    with pytest.raises(NoToken, match="has ended"):
        callers.admit(b"Bearer guest-token", now=NOW + 1)
    for header in (None, b"Bearer other"):
        with pytest.raises(NoToken):
            callers.admit(header, now=NOW)
        with pytest.raises(NoToken):
            Callers(()).admit(header, now=NOW)
        Callers((), open_to_all=("predict",)).admit(header, now=NOW)


def test_where_nobody_asks_for_a_token_everybody_may() -> None:
    callers = Callers((), open_to_all=("predict",))
    assert callers.name_of(None, scope="predict", now=NOW) == ANYBODY
    with pytest.raises(NoToken):
        callers.name_of(None, scope="facts", now=NOW)
