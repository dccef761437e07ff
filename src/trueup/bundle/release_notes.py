"""What should people know about a new bundle, against the one before? Release notes in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trueup.bundle.environment import locked_versions
from trueup.bundle.features import FeatureSpec
from trueup.bundle.manifest import Manifest
from trueup.bundle.show import COMPILED, BundleChange, diff_bundles

_SHOWN = 10
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def release_notes(
    before: Manifest, after: Manifest, *, locks: tuple[str, str], signers: tuple[str, str] | None = None
) -> str:
    """Return what changed from one bundle to the next, as Markdown with one part for each question people ask.

    Parameters
    ----------
    before, after : Manifest
        Of verified bundles.
    locks : tuple of str
        Their ``environment.lock``.
    signers : tuple of str, optional
        Whose keys signed them.
    """
    changes = diff_bundles(before, after)
    parts = (
        ("Data", _data(before, after)),
        ("Features", _features(before.features, after.features)),
        ("Quality", _quality(before, after)),
        ("Charter and policy", _charter(before, after, changes)),
        ("Recipe", _recipe(before.recipe, after.recipe)),
        ("Predictor", (_line(change, "predictor.") for change in changes if change.what.startswith("predictor."))),
        ("Code", _code(changes)),
        ("Dependencies", _dependencies(*locks)),
        ("Signature", _signature(signers)),
    )
    head = [
        f"# {_text(after.project)}: model version {_text(after.model_version)}",
        "",
        f"Bundle `{after.digest[:12]}`; before it version {_text(before.model_version)}, `{before.digest[:12]}`.",
    ]
    if before.project != after.project:
        head += ["", f"**The bundle before is of another project, {_text(before.project)}.**"]
    told = (_part(title, list(lines)) for title, lines in parts)
    return "\n".join([*head, *(line for part in told for line in part)]) + "\n"


def _part(title: str, lines: list[str]) -> list[str]:
    return ["", f"## {title}", "", *(lines or ["No change."])]


def _data(before: Manifest, after: Manifest) -> Iterator[str]:
    windows = [_mapping(m.metrics.get("data_window")) for m in (before, after)]
    if any(windows):
        yield _was("Cases", *(_window(window) for window in windows))
        yield _was("Outcomes known by", *(window.get("known_by") for window in windows))
    yield _was("Final outcomes trained on", *(m.metrics.get("training_rows") for m in (before, after)))
    yield _was("Table version", before.table_version, after.table_version)


def _features(before: Sequence[FeatureSpec], after: Sequence[FeatureSpec]) -> Iterator[str]:
    first, second = ({feature.name: feature for feature in features} for features in (before, after))
    for name in sorted(set(second) - set(first)):
        yield f"- Added: {_text(name)} ({second[name].kind})"
    for name in sorted(set(first) - set(second)):
        yield f"- Removed: {_text(name)} ({first[name].kind})"
    for name in sorted(set(first) & set(second)):
        old, new = first[name], second[name]
        if (old.kind, old.dtype) != (new.kind, new.dtype):
            yield _was(f"Retyped: {_text(name)}", _type_of(old), _type_of(new))
        for what, gone in (
            ("new", set(new.categories) - set(old.categories)),
            ("no longer known", set(old.categories) - set(new.categories)),
        ):
            if gone and old.kind == new.kind:
                yield f"- Categories of {_text(name)}, {what}: {_some(sorted(gone))}"
    if set(first) == set(second) and list(first) != list(second):
        yield "- The same features in another order"


def _quality(before: Manifest, after: Manifest) -> Iterator[str]:
    chosen = [_chosen(m.metrics) for m in (before, after)]
    currencies = [m.policy.get("currency", "") for m in (before, after)]
    if any(chosen):
        yield _was("Chosen model", *(c.get("name") for c in chosen))
        values = [_value(c, currency) for c, currency in zip(chosen, currencies, strict=True)]
        yield _was("Value on later data, with its 90 % interval", *values)
        if before.table_version != after.table_version and any(values):
            yield "- The two values were found on different data: their difference is not the model's alone"
    for change in diff_bundles(before, after):
        name = change.what.removeprefix("metrics.")
        if change.what.startswith("metrics.") and name not in {"candidates", "training_rows", "data_window"}:
            yield _line(change, "metrics.")


def _charter(before: Manifest, after: Manifest, changes: Sequence[BundleChange]) -> Iterator[str]:
    if before.charter_digest != after.charter_digest:
        digests = [f"`{m.charter_digest[:12]}`" if m.charter_digest else "none" for m in (before, after)]
        yield f"- Charter: {digests[0]} -> {digests[1]}"
    if before.charter_version != after.charter_version:
        yield _was("Charter version", before.charter_version, after.charter_version)
    for change in changes:
        if change.what.startswith("policy.") and change.what.removeprefix("policy.") not in COMPILED:
            yield from _policy(change)
    if before.task != after.task or before.classes != after.classes:
        yield _was("Outcome", *(f"{m.task} {', '.join(m.classes)}".strip() for m in (before, after)))


def _policy(change: BundleChange) -> Iterator[str]:
    """Yield one line for each entry of a part of the policy, such as each cell of the payoff."""
    old, new = _mapping(change.before), _mapping(change.after)
    if not old and not new:
        yield _line(change, "policy.")
    yield from _entries(change.what.removeprefix("policy."), old, new)


def _recipe(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is fitted otherwise; the features have a part of their own."""
    told = {"params", "features"}
    yield from _entries("", *({k: v for k, v in recipe.items() if k not in told} for recipe in (before, after)))
    yield from _entries("", *(_pairs(recipe.get("params")) for recipe in (before, after)))


def _entries(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(set(before) | set(after)):
        if before.get(key) != after.get(key):
            yield _was(f"{name} {key}".strip().replace("_", " "), before.get(key), after.get(key))


def _code(changes: Sequence[BundleChange]) -> Iterator[str]:
    for change in changes:
        if change.what == "code_revision":
            yield _was("Revision", change.before, change.after)
        if change.what.startswith("file code/"):
            how = "Added" if change.before is None else "Removed" if change.after is None else "Changed"
            yield f"- {how}: {_text(change.what.removeprefix('file code/'))}"


def _dependencies(before: str, after: str) -> Iterator[str]:
    first, second = locked_versions(before), locked_versions(after)
    for name in sorted(set(first) | set(second)):
        if first.get(name) != second.get(name):
            yield _was(_text(name), first.get(name), second.get(name))


def _signature(signers: tuple[str, str] | None) -> Iterator[str]:
    if signers and signers[0] != signers[1]:
        yield _was("Signed by", *signers)


def _chosen(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    candidates = metrics.get("candidates")
    found = [_mapping(c) for c in candidates] if isinstance(candidates, list) else []
    return next((c for c in found if c.get("chosen")), {})


def _value(candidate: Mapping[str, Any], currency: object) -> str | None:
    value, interval = candidate.get("value"), candidate.get("value_interval")
    if not isinstance(value, int | float):
        return None
    bounds = f" ({interval[0]:,.0f} to {interval[1]:,.0f})" if isinstance(interval, list) and len(interval) == 2 else ""
    return f"{value:,.0f}{bounds} {currency}".rstrip()


def _window(window: Mapping[str, Any]) -> str | None:
    return f"{window['from']} to {window['to']}" if {"from", "to"} <= set(window) else None


def _type_of(feature: FeatureSpec) -> str:
    return f"{feature.kind} ({feature.dtype})" if feature.dtype else feature.kind


def _line(change: BundleChange, prefix: str) -> str:
    return _was(change.what.removeprefix(prefix).replace("_", " "), change.before, change.after)


def _was(what: str, before: object, after: object) -> str:
    """Return one item; both sides where they differ, one where they are the same."""
    if before == after:
        return f"- {what}: {_shown(after)}, unchanged"
    return f"- {what}: {_shown(before)} -> {_shown(after)}"


def _shown(value: object) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, list):
        return "; ".join(map(_shown, value)) or "none"
    if isinstance(value, bool | str):
        return _text(str(value))
    return f"{value:,}" if isinstance(value, int) else _text(str(value))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(_text(name) for name in names[:_SHOWN]) + more


def _pairs(value: object) -> Mapping[str, Any]:
    """Return a list of (name, value) as a mapping; empty for anything else."""
    return dict(value) if isinstance(value, list) and all(isinstance(p, list) and len(p) == 2 for p in value) else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: str) -> str:
    """Return text from data so that it is nothing but text in Markdown, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(value.split()))
