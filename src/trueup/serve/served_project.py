"""What answers for one project in one process, as it is desired? Bundles in their roles, policy, tokens and callers.

Nothing decides here: `answering` does. This makes what it decides with from a desired state, and keeps what must
outlive a change of it: the tokens of the capacity, and which models are left alone after errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from trueup.align.decision_policy import DecisionPolicy
from trueup.align.streaming import UNCOUNTED, StreamDecider, Terms, TokenCounter, pace_from
from trueup.kernel.ids import IdMint
from trueup.lake.capacity_file import CapacityUnavailable
from trueup.lake.desired_state import DesiredState
from trueup.lake.log_records import CHAMPION, SchemaRecord, encode_record
from trueup.lake.personal import PersonalSealer
from trueup.serve.answering import Answerer
from trueup.serve.callers import Callers
from trueup.serve.circuit import Circuit
from trueup.serve.endpoints import Desk
from trueup.serve.facts import FactDesk
from trueup.serve.loadout import Loadout, Sealer, Seat, seat_of_bundle
from trueup.serve.opening import OpenedBundle
from trueup.serve.recording import Recorder
from trueup.serve.row_requests import PolicyColumns

T = TypeVar("T", int, float)
Clock = Callable[[], int]


@dataclass
class ProjectCounts:
    """Since the start of the process."""

    served: int = 0
    """Rows that were answered."""
    shed: int = 0
    """Requests that were turned away because the log could not take them."""


class HonestTokens:
    """Tokens that are not there when they cannot be counted: a broken disk lets nobody be acted on, and fails nothing.

    Attributes
    ----------
    problem : str or None
        Why tokens cannot be counted; None while they can.
    """

    def __init__(self, tokens: TokenCounter) -> None:
        self._tokens = tokens
        self.problem: str | None = None

    def used(self, period_start: int) -> tuple[int, int]:
        """See `TokenCounter`."""
        return self._counted(lambda: self._tokens.used(period_start), (1 << 62, 0))

    def used_before(self, period_start: int, slot_start: int) -> tuple[int, int]:
        """See `TokenCounter`."""
        return self._counted(lambda: self._tokens.used_before(period_start, slot_start), UNCOUNTED)

    def allowed(self, period_start: int, cases: int) -> tuple[int, float]:
        """See `TokenCounter`."""
        return self._counted(lambda: self._tokens.allowed(period_start, cases), (0, 0.0))

    def take(self, period_start: int, prediction_id: bytes, *, exploring: bool, most: int, in_all: int) -> bool:
        """See `TokenCounter`."""
        try:
            return self._tokens.take(period_start, prediction_id, exploring=exploring, most=most, in_all=in_all)
        except CapacityUnavailable as error:
            self.problem = error.message
            return False

    def taken(self, period_start: int, prediction_id: bytes) -> bool | None:
        """See `TokenCounter`."""
        try:
            return self._tokens.taken(period_start, prediction_id)
        except CapacityUnavailable as error:
            self.problem = error.message
            return None

    def _counted(self, count: Callable[[], tuple[int, T]], otherwise: tuple[int, T]) -> tuple[int, T]:
        try:
            counted = count()
        except CapacityUnavailable as error:
            self.problem = error.message
            return otherwise
        self.problem = None
        return counted


class Sealing:
    """Takes personal values out of what is logged; which columns are personal may change, the file of keys goes on.

    Parameters
    ----------
    make : callable
        Makes the sealer, once, given the first columns.
    """

    def __init__(self, make: Callable[[tuple[str, ...]], PersonalSealer]) -> None:
        self._make = make
        self._sealer: PersonalSealer | None = None

    def of(self, columns: tuple[str, ...]) -> Sealer | None:
        """Return what seals these columns; None for none."""
        if not columns:
            return None
        if self._sealer is None:
            self._sealer = self._make(columns)
        return partial(self._sealer.seal_rows, columns=frozenset(columns))

    def sync(self) -> None:
        """Return when the keys of everything that was sealed are on the disk."""
        if self._sealer is not None:
            self._sealer.sync()

    def close(self) -> None:
        """End the file of keys."""
        if self._sealer is not None:
            self._sealer.close()


class ServedProject:
    """What answers for one project.

    Parameters
    ----------
    name : str
    recorder : Recorder
    tokens : TokenCounter
        Of the capacity; shared with the other processes.
    ticks : callable
        Nanoseconds of the clock that `Request.received_at` is of.
    sealing : Sealing
    """

    def __init__(
        self,
        name: str,
        *,
        recorder: Recorder,
        tokens: TokenCounter,
        ticks: Clock,
        sealing: Sealing,
    ) -> None:
        self.name, self.recorder, self.counts = name, recorder, ProjectCounts()
        self.tokens = HonestTokens(tokens)
        self.state: DesiredState | None = None
        self.desk: Desk | None = None
        """What answers; None before the first desired state."""
        self._mint = IdMint()
        self._ticks, self._sealing = ticks, sealing
        self._circuits: dict[str, Circuit] = {}

    # --- what is desired

    def adopt(self, state: DesiredState, opened: Mapping[str, OpenedBundle]) -> None:
        """Decide as a desired state says from now on; requests in flight finish as they began.

        Raises
        ------
        BadPolicy, BadPace, BadLoadout
            The state cannot be carried out; what decides stays.
        """
        loadout = self._loadout_of(state, opened)
        self.recorder.announce(encode_record(SchemaRecord(loadout.schema_digest, loadout.schema)))
        self.state = state
        callers = Callers(state.tokens)
        if self.desk is None:
            answerer = Answerer(loadout, mint=self._mint, ticks=self._ticks)
            self.desk = Desk(answerer, FactDesk(self.name, mint=self._mint), callers)
        else:
            self.desk.answerer.adopt(loadout)
            self.desk.callers = callers

    def _loadout_of(self, state: DesiredState, opened: Mapping[str, OpenedBundle]) -> Loadout:
        # nothing but a signature says what a decision is worth and how many there may be
        signed = opened[state.champion.digest].manifest
        policy = DecisionPolicy.from_document(signed.policy, classes=signed.classes)
        columns = PolicyColumns.of(signed.policy)
        pace = pace_from(state.pace) if state.pace is not None else None
        decider = StreamDecider(Terms.of(policy, lowered_to=state.capacity), pace=pace, tokens=self.tokens)
        seats = [
            self._seat(opened[role.digest], role.role, columns=columns, share=role.share) for role in state.bundles
        ]
        champion = next(seat for seat in seats if seat.role == CHAMPION)
        return Loadout(
            champion,
            policy=policy,
            decider=decider,
            columns=columns,
            others=[seat for seat in seats if seat is not champion],
            salt=state.salt,
            paused=state.paused,
            seal=self._sealing.of(_personal_columns(state, opened)),
            version=state.version,
        )

    def _seat(self, bundle: OpenedBundle, role: str, *, columns: PolicyColumns, share: float) -> Seat:
        seat = seat_of_bundle(
            bundle.folder,
            bundle.manifest,
            role,
            columns=columns,
            share=share,
            predictor=bundle.predictor,
            slow=bundle.slow,
        )
        # a model that fails goes on being left alone when something else of the state changes
        seat.circuit = self._circuits.setdefault(bundle.digest, seat.circuit)
        return seat

    def ask_again(self, digest: str) -> None:
        """Ask a model with the next request, though its circuit is open: its process was started again."""
        if digest in self._circuits:
            self._circuits[digest].ask_again()

    def close(self) -> None:
        """End the file of keys; nothing is answered any more."""
        self._sealing.close()

    @property
    def has_open_circuit(self) -> bool:
        """Return whether a model that should answer is left alone after errors."""
        return any(circuit.is_open for circuit in self._circuits.values())


def _personal_columns(state: DesiredState, opened: Mapping[str, OpenedBundle]) -> tuple[str, ...]:
    """Return what is sealed: every column that was personal once, or is to a bundle that sees rows."""
    bundles = [opened[role.digest].manifest for role in state.bundles]
    return tuple(sorted({*state.personal, *(name for of in bundles for name in of.policy.get("personal", ()))}))
