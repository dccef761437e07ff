"""In which frame does a model made elsewhere give what MLflow's frame gives? Each is tried in a model's process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trueup.bundle.examining import Examined
from trueup.bundle.features import FeatureSpec
from trueup.bundle.layout import CODE_FOLDER, MODEL_FILE
from trueup.bundle.logged_features import as_categories, forgiving
from trueup.bundle.scoring import ModelProcess
from trueup.kernel.digests import digest_of_bytes

Outputs = list[tuple[float, ...] | None]


@dataclass(frozen=True)
class Tried:
    """The frame that was chosen."""

    features: tuple[FeatureSpec, ...]
    outputs: Outputs
    """What the model answers in it."""


def try_features(
    examined: Examined, features: tuple[FeatureSpec, ...], *, requests: Sequence[str], code: Mapping[str, bytes]
) -> Tried | None:
    """Return the frame in which the model answers as in the one of its signature; None where it refuses every row.

    Parameters
    ----------
    examined : Examined
    features : tuple of FeatureSpec
        The frame of its signature.
    requests : sequence of str
        Real rows.
    code : mapping
        Python files that the model refers to, by path.

    Notes
    -----
    Floats take the place of whole numbers and booleans where that changes no number: then a row may lack them. Pandas
    categories take the place of texts only where the model refuses every text: an unknown text is then missing.
    """
    with tempfile.TemporaryDirectory(prefix="trueup-model-") as name:
        folder = Path(name)
        digests = _write(folder, examined, code)

        def outputs_in(frame: tuple[FeatureSpec, ...]) -> Outputs:
            process = ModelProcess(
                folder,
                files=digests,
                features=frame,
                task=examined.task,
                n_classes=len(examined.labels) or 2,
                foreign=True,
            )
            with process:
                return process.score_requests(requests)

        return _chosen(features, outputs_in)


def _chosen(
    features: tuple[FeatureSpec, ...], outputs_in: Callable[[tuple[FeatureSpec, ...]], Outputs]
) -> Tried | None:
    exact, floats = outputs_in(features), forgiving(features)
    if any(output is not None for output in exact):
        given = exact if floats == features else outputs_in(floats)
        return Tried(floats, given) if _agree(exact, given) else Tried(features, exact)
    typed = as_categories(features)
    given = outputs_in(typed)
    return Tried(typed, given) if any(output is not None for output in given) else None


def _write(folder: Path, examined: Examined, code: Mapping[str, bytes]) -> dict[str, str]:
    files = {MODEL_FILE: examined.content} | {f"{CODE_FOLDER}/{path}": content for path, content in code.items()}
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return {path: digest_of_bytes(content) for path, content in files.items()}


def _agree(reference: Outputs, outputs: Outputs) -> bool:
    pairs = zip(reference, outputs, strict=True)
    return all(
        first is None or (second is not None and [x.hex() for x in first] == [x.hex() for x in second])
        for first, second in pairs
    )
