"""What does a skops file hold? Opened with the names a pickle may refer to, not with those it asks for."""

from __future__ import annotations

import importlib
import zipfile
from typing import Any

from trueup.bundle.errors import ModelFailed, PickleRefused
from trueup.bundle.pickle_names import is_harmless, is_listed, is_standard


def load_skops(content: bytes) -> Any:
    """Return the object of a skops file. Call it in a process that confined itself (`sandbox`).

    Raises
    ------
    PickleRefused
        It refers to a type that is not on the allow-list; nothing of it was built.
    ModelFailed
        The library skops is not installed, or the bytes are no skops file.
    """
    try:
        from skops.io import get_untrusted_types, loads
    except ModuleNotFoundError as error:
        raise ModelFailed(
            'the model is a skops file, and skops is not installed here; install "trueup[skops]"', module="skops"
        ) from error
    try:
        asked = get_untrusted_types(data=content)
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise ModelFailed(f"the model is no whole skops file ({type(error).__name__})") from error
    for name in asked:
        _refuse_unlisted(name)
    return loads(content, trusted=asked)


def _refuse_unlisted(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    if is_standard(module, attribute):
        return
    if is_listed(module, attribute) and is_harmless(
        attribute, getattr(importlib.import_module(module), attribute, None)
    ):
        return
    raise PickleRefused(
        f"the model is refused: its skops file refers to {name}, which no model needs; nothing of it was built",
        module=module,
        name=attribute,
    )
