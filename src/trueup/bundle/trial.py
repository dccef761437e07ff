"""What does a process answer that is asked to try an offer? The proof, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueup.bundle.features import parse_features
from trueup.bundle.golden import parse_golden
from trueup.bundle.offering import trial_parts
from trueup.bundle.predictors.opening import open_compiled
from trueup.bundle.predictors.predictor import Opener
from trueup.bundle.proof import prove
from trueup.kernel.errors import TrueupError


def try_offer(head: Mapping[str, Any], body: bytes, *, more: Mapping[str, Opener] | None = None) -> dict[str, Any]:
    """Return the answer to a message from `offering.trial_message`, as JSON values.

    Parameters
    ----------
    head, body : mapping and bytes
        The message.
    more : mapping, optional
        Kinds of stage that only the process with the model can open.
    """
    golden, files = trial_parts(head, body)
    try:
        predictor = open_compiled(head["plan"], files, features=parse_features(head["features"]), more=more)
        proof = prove(predictor, parse_golden(golden), cutoff=head["cutoff"], tolerance=head["tolerance"])
    except TrueupError as error:
        return {"failed": error.message}
    except Exception as error:  # noqa: BLE001 - process boundary: whatever a predictor raises means that it is not proven
        return {"failed": f"it raised {type(error).__name__}: {error}"}
    return {"proof": proof.as_json()}
