"""Which store is at a URL? A folder, or an object store; what stores do is in `store`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trueup.lake.errors import BadStoreUrl
from trueup.lake.store import Store, folder_of


def open_store(url: str | Path, *, options: Mapping[str, str] | None = None) -> Store:
    """Return the store at `url`.

    Parameters
    ----------
    url : str or Path
        A folder (a path, or ``file:///path``; created when missing at the first write), or ``s3://bucket/prefix``.
    options : mapping of str to str, optional
        For ``s3:``, the usual ``AWS_*`` settings: ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``,
        ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ALLOW_HTTP``. Nothing is read from the environment here.

    Raises
    ------
    BadStoreUrl
        For any other kind of URL.
    """
    text = str(url)
    scheme = text.split(":", 1)[0] if "://" in text or text.startswith("file:") else ""
    if scheme == "s3":
        from trueup.lake.s3_store import S3Store

        return S3Store(text, options=options or {})
    if scheme in ("", "file") and text:
        from trueup.lake.folder_store import FolderStore

        return FolderStore(folder_of(text))
    raise BadStoreUrl(
        f'"{text}" is not a store; allowed are a folder, file:///folder and s3://bucket/prefix', seen=text
    )


def options_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of object stores, ``AWS_*``, that an environment holds; an edge passes them in."""
    return {name: value for name, value in environment.items() if name.startswith("AWS_")}
