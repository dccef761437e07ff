"""What does a server decide a project's cases with? Bundles in their roles, the policy and the capacity, as one thing.

A `Loadout` never changes. A new champion, share, policy or capacity is a new one, and the server goes over to it by one
assignment (`Answerer.adopt`); requests that are in flight finish with the one they began with, and are logged as its.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trueup.align.decision_policy import DecisionPolicy
from trueup.align.streaming import StreamDecider, canary_of, draw_of
from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import Output
from trueup.bundle.layout import REFERENCE_FOLDER
from trueup.bundle.manifest import Manifest
from trueup.bundle.predictors.predictor import Predictor
from trueup.kernel.digests import digest_of
from trueup.lake.log_records import CANARY, CHAMPION
from trueup.serve.circuit import Circuit, CircuitRule
from trueup.serve.errors import ServeError
from trueup.serve.reasons import references_of
from trueup.serve.row_requests import PolicyColumns, RowReader

Numbers = NDArray[np.float64]
MOST_ROWS = 1_000
SHADOW_SALT = 2_000
"""Beside those of `align/allocation.py`: which cases a shadow is asked about."""
_ALL_DRAWS = float(1 << 53)
Sealer = Callable[[bytes, Sequence[str | None]], bytes]
"""Takes a JSON array of rows and their cases' names, and gives the rows as they may be kept: personal values sealed."""


class BadLoadout(ServeError):
    """Bundles cannot stand side by side."""

    code = "serve.bad-loadout"


class SlowScorer(Protocol):
    """A model that answers from another process."""

    def score(self, requests: Sequence[str]) -> Awaitable[Sequence[Output]]:
        """Return one output for each request, a JSON object; None where the model refuses the row.

        Raises
        ------
        BundleError
            When the model failed, or its process ended.
        """


class Seat:
    """One bundle in one role.

    Parameters
    ----------
    digest : str
        Of the bundle.
    role : str
        champion, canary or shadow.
    features : sequence of FeatureSpec
    columns : PolicyColumns
    share : float
        Of cases, for a canary or a shadow.
    predictor : Predictor, optional
        A model in this process.
    slow : SlowScorer, optional
        A model in another process. With neither the bundle could not be opened: the fallback decides in its place.
    references : ndarray of float, optional
        Shape (n_features,): what features are put back to when reasons are asked for.
    classes : sequence of str
        What the numbers of an answer stand for, with several classes.
    rule : CircuitRule
    most_rows : int
    """

    def __init__(
        self,
        digest: str,
        role: str,
        *,
        features: Sequence[FeatureSpec],
        columns: PolicyColumns,
        share: float = 1.0,
        predictor: Predictor | None = None,
        slow: SlowScorer | None = None,
        references: Numbers | None = None,
        classes: Sequence[str] = (),
        rule: CircuitRule = CircuitRule(),  # noqa: B008  # frozen
        most_rows: int = MOST_ROWS,
    ) -> None:
        self.digest, self.role, self.share = digest, role, share
        self.predictor, self.slow, self.references, self.classes = predictor, slow, references, tuple(classes)
        self.reader = RowReader(features, columns, most_rows=most_rows)
        self.circuit = Circuit(rule)


class Loadout:
    """Everything that decides, of one version of the desired state.

    Parameters
    ----------
    champion : Seat
    policy : DecisionPolicy
    decider : StreamDecider
        Over the tokens that all loadouts of the project share.
    columns : PolicyColumns
        Of the policy.
    others : sequence of Seat
        Canaries and shadows.
    salt : int
        Of the release.
    paused : bool
        Whether the fallback decides everything.
    seal : callable, optional
        See `Sealer`; None where no column is personal.
    version : int
        Of the desired state.

    Raises
    ------
    BadLoadout
        When a bundle has other classes than the champion.

    Attributes
    ----------
    schema : dict
        Kind of every column that some seat or the policy reads, as the champion has it where several do; these are
        logged, and `schema_digest` names them.
    in_flight : int
        Requests that wait for a model in another process; a bundle may be closed once it is 0.
    """

    def __init__(
        self,
        champion: Seat,
        *,
        policy: DecisionPolicy,
        decider: StreamDecider,
        columns: PolicyColumns,
        others: Sequence[Seat] = (),
        salt: int = 0,
        paused: bool = False,
        seal: Sealer | None = None,
        version: int = 0,
    ) -> None:
        for seat in others:
            if seat.classes != champion.classes:
                raise BadLoadout(
                    f"bundle {seat.digest[:12]} cannot be {seat.role}: its classes are not those of the champion, in "
                    "that order; make it the champion instead",
                    digest=seat.digest,
                )
        self.champion, self.policy, self.decider, self.columns = champion, policy, decider, columns
        self.canaries = tuple(seat for seat in others if seat.role == CANARY)
        self.shadows = tuple(seat for seat in others if seat.role not in (CHAMPION, CANARY))
        self.salt, self.paused, self.seal, self.version = salt, paused, seal, version
        self.has_fallback = policy.document["plans"]["fallback"] is not None
        self.draws = bool(others) or policy.control_group > 0 or policy.exploration_share > 0
        self.champion_share = max(0.0, 1.0 - sum(seat.share for seat in self.canaries))
        self.in_flight = 0
        self.schema = dict(
            sorted({k: v for seat in (*others, champion) for k, v in seat.reader.schema.items()}.items())
        )
        self.schema_digest = digest_of(self.schema)

    def seat_of(self, unit: int) -> Seat:
        """Return who decides a unit; the same one as long as the salt and the shares stay."""
        share = 0.0
        for seat in self.canaries:
            share += seat.share
            if canary_of(unit, salt=self.salt, share=share):
                return seat
        return self.champion

    def share_of(self, seat: Seat) -> float:
        """Return the probability with which chance gives a case to a seat, 0 to 1."""
        return self.champion_share if seat is self.champion else seat.share

    def is_shadowed(self, seat: Seat, unit: int) -> bool:
        """Return whether a shadow is asked about a unit."""
        return draw_of(unit, SHADOW_SALT + self.salt) < seat.share * _ALL_DRAWS


def seat_of_bundle(
    folder: Path,
    manifest: Manifest,
    role: str,
    *,
    columns: PolicyColumns,
    share: float = 1.0,
    predictor: Predictor | None = None,
    slow: SlowScorer | None = None,
    rule: CircuitRule = CircuitRule(),  # noqa: B008  # frozen
    most_rows: int = MOST_ROWS,
) -> Seat:
    """Return a seat for a bundle that was verified and opened here.

    Parameters
    ----------
    folder : Path
        Of the bundle.
    manifest : Manifest
    role, columns, share, predictor, slow, rule, most_rows
        See `Seat`.
    """
    return Seat(
        manifest.digest,
        role,
        features=manifest.features,
        columns=columns,
        share=share,
        predictor=predictor,
        slow=slow,
        references=references_of(manifest.features, _reference_profiles(folder)),
        classes=manifest.classes if manifest.task == "multiclass" else (),
        rule=rule,
        most_rows=most_rows,
    )


def _reference_profiles(folder: Path) -> Mapping[str, object]:
    path = folder / REFERENCE_FOLDER / "features.json"
    found = json.loads(path.read_bytes()) if path.is_file() else {}
    return found if isinstance(found, Mapping) else {}
