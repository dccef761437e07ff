"""How does a rehearsal come back from its JSON? The inverse of `Rehearsal.as_json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trueup.lake.errors import LakeError
from trueup.lake.estimates import Contradiction, Estimate, Figures, FinalValue
from trueup.lake.incidents import DataIncident
from trueup.lake.rehearsals import (
    FeatureDrift,
    GuardResult,
    KpiResult,
    Notice,
    Rehearsal,
    Release,
    Strategy,
    Window,
)


class NotARehearsal(LakeError):
    """A document does not hold what `Rehearsal.as_json` wrote."""

    code = "lake.not-a-rehearsal"


def parse_rehearsal(document: Mapping[str, Any]) -> Rehearsal:
    """Return the record that `as_json` turned into `document`.

    Raises
    ------
    NotARehearsal
        When a field is missing or unknown: the document is damaged, or of another version of Trueup.
    """
    try:
        return Rehearsal(
            **{
                **document,
                "assumptions": tuple(document["assumptions"]),
                "strategies": tuple(_strategy(s) for s in document["strategies"]),
                "warnings": tuple(Notice(**n) for n in document["warnings"]),
                "drift": tuple(FeatureDrift(**d) for d in document["drift"]),
                "incidents": tuple(_incident(i) for i in document.get("incidents", ())),
                "candidates": tuple(document["candidates"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise NotARehearsal(
            f"this is not a rehearsal of this version of Trueup ({error}); run `trueup rehearse` again"
        ) from error


def _incident(fields: Mapping[str, Any]) -> DataIncident:
    return DataIncident(**{**fields, "only_values": tuple(fields["only_values"])})


def _strategy(fields: Mapping[str, Any]) -> Strategy:
    return Strategy(
        **{
            **fields,
            "value_interval": _pair(fields["value_interval"]),
            "releases": tuple(_release(r) for r in fields["releases"]),
            "windows": tuple(_window(w) for w in fields["windows"]),
            "kpis": tuple(KpiResult(**k) for k in fields["kpis"]),
            "guards": tuple(GuardResult(**g) for g in fields["guards"]),
            "contradictions": tuple(Contradiction(**c) for c in fields.get("contradictions", ())),
        }
    )


def _window(fields: Mapping[str, Any]) -> Window:
    estimate = fields.get("estimate")
    return Window(**{**fields, "estimate": None if estimate is None else _estimate(estimate)})


def _estimate(fields: Mapping[str, Any]) -> Estimate:
    return Estimate(
        **{
            **fields,
            "expected": Figures(**fields["expected"]),
            "realised": Figures(**fields["realised"]),
            "at_end": _final_value(fields["at_end"]),
            "now": _final_value(fields["now"]),
        }
    )


def _final_value(fields: Mapping[str, Any]) -> FinalValue:
    return FinalValue(**{**fields, "interval": _pair(fields["interval"])})


def _release(fields: Mapping[str, Any]) -> Release:
    return Release(**{**fields, "value_gain_interval": _pair(fields.get("value_gain_interval"))})


def _pair(interval: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if interval is None else tuple(interval)
