"""Who asks, and may they? A bearer token is compared by its SHA-256 with those of the desired state; none is kept."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from trueup.kernel.digests import digest_of_bytes
from trueup.lake.desired_state import TokenGrant
from trueup.serve.refusals import NoToken, WrongScope

ANYBODY = "anybody"
"""Name of a caller without a token, where none is asked for."""
_MOST_KNOWN = 1_000
_LONGEST_HEADER = 1_000


class Callers:
    """The callers of one version of the desired state.

    Parameters
    ----------
    grants : sequence of TokenGrant
    open_to_all : sequence of str
        Scopes for which no token is asked, as for one bundle served alone on a laptop.

    Notes
    -----
    A header that was good before is found again in a dictionary; a new desired state is a new `Callers`, so that a
    revoked token ends with it. A token that is not known is compared with every grant in constant time.
    """

    def __init__(self, grants: Sequence[TokenGrant], *, open_to_all: Sequence[str] = ()) -> None:
        self._grants = tuple(grants)
        self._open = frozenset(open_to_all)
        self._known: dict[bytes, TokenGrant] = {}

    def name_of(self, header: bytes | None, *, scope: str, now: int) -> str:
        """Return the name of a caller who may use a scope.

        Parameters
        ----------
        header : bytes or None
            ``Authorization``, as in ``Bearer ...``.
        scope : str
            One of `lake/desired_state.SCOPES`.
        now : int
            Microseconds UTC.

        Raises
        ------
        NoToken
            No token, one that is not known, or one that has ended.
        WrongScope
            A good token for other things.
        """
        grant = self._known.get(header) if header is not None else None
        if grant is None:
            if scope in self._open:
                return ANYBODY
            grant = self._find(header)
        _refuse_ended(grant, now)
        if scope not in grant.scopes:
            raise WrongScope(f'the token is not good for "{scope}"; ask an operator for one that is', scope=scope)
        return grant.name

    def admit(self, header: bytes | None, *, now: int) -> None:
        """Let in who has a token, whatever it is good for; everybody where some scope asks for none.

        Raises
        ------
        NoToken
            No token, one that is not known, or one that has ended.
        """
        if not self._open:
            _refuse_ended(self._find(header), now)

    def _find(self, header: bytes | None) -> TokenGrant:
        kind, _, token = (header or b"")[:_LONGEST_HEADER].partition(b" ")
        if kind.lower() != b"bearer" or not token:
            raise NoToken("this needs a token: send the header Authorization: Bearer TOKEN")
        digest = digest_of_bytes(token.strip()).encode()
        found = [grant for grant in self._grants if hmac.compare_digest(grant.sha256.encode(), digest)]
        if header is None or not found:
            raise NoToken("the token is not known, or was revoked; ask an operator for a new one")
        if len(self._known) < _MOST_KNOWN:
            self._known[header] = found[0]
        return found[0]


def _refuse_ended(grant: TokenGrant, now: int) -> None:
    if grant.until is not None and now >= grant.until:
        raise NoToken("the token has ended; ask an operator for a new one")
