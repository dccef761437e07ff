"""Was this fact told before, and does it say the same? Contents of the latest facts by their ids, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

MOST_IDS = 50_000
"""Some 10 MB."""


class KnownFacts:
    """What was said under the latest ids.

    Parameters
    ----------
    most : int
        Ids that are remembered; the oldest are forgotten.

    Notes
    -----
    What another process took, or the same before it was started again, is not known here: such a fact is recorded,
    views count the first under its id, and ``trueup log verify`` names the id.
    """

    def __init__(self, *, most: int = MOST_IDS) -> None:
        self._contents: dict[bytes, int] = {}
        self._most = most

    def find_contradiction(self, facts: Sequence[tuple[bytes, bytes]]) -> int | None:
        """Return the place of the first fact whose id was used for another content; None where there is none.

        Parameters
        ----------
        facts : sequence of (bytes, bytes)
            Ids and contents.
        """
        known = self._contents
        for place, (fact_id, content) in enumerate(facts):
            if known.get(fact_id, said := hash(content)) != said:
                return place
        return None

    def keep(self, facts: Sequence[tuple[bytes, bytes]]) -> None:
        """Remember facts: their ids and contents."""
        for fact_id, content in facts:
            self._contents.pop(fact_id, None)
            self._contents[fact_id] = hash(content)
        while len(self._contents) > self._most:
            del self._contents[next(iter(self._contents))]
