"""Which store is at a URL? A folder, or an object store; what stores do is in `store`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trueup.lake.errors import BadStoreUrl
from trueup.lake.store import Store, folder_of

_SETTINGS = tuple(
    f"AWS_{name}"
    for name in (
        *("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION", "DEFAULT_REGION"),
        *("ENDPOINT", "ENDPOINT_URL", "ENDPOINT_URL_STS", "METADATA_ENDPOINT", "ALLOW_HTTP"),
        *("ROLE_ARN", "ROLE_SESSION_NAME", "WEB_IDENTITY_TOKEN_FILE"),
        *("CONTAINER_CREDENTIALS_RELATIVE_URI", "CONTAINER_CREDENTIALS_FULL_URI", "CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        *("SERVER_SIDE_ENCRYPTION", "SSE_KMS_KEY_ID", "SSE_BUCKET_KEY_ENABLED", "REQUEST_PAYER"),
        *("VIRTUAL_HOSTED_STYLE_REQUEST", "SKIP_SIGNATURE", "UNSIGNED_PAYLOAD"),
    )
)
"""What object stores understand; the other ``AWS_*`` of an environment would be refused."""


def open_store(url: str | Path, *, options: Mapping[str, str] | None = None, begun: bool = False) -> Store:
    """Return the store at `url`.

    Parameters
    ----------
    url : str or Path
        A folder (a path, or ``file:///path``; created when missing at the first write), or ``s3://bucket/prefix``.
    options : mapping of str to str, optional
        For ``s3:``, the usual ``AWS_*`` settings: ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``,
        ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``, ``AWS_ALLOW_HTTP``. Nothing is read from the environment here.

    begun : bool
        Whether there is something in it already. A folder that is missing or empty is then one that is away for a
        while, such as a disk that is not mounted, and nothing is written where it belongs.

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

        return FolderStore(folder_of(text), begun=begun)
    raise BadStoreUrl(
        f'"{text}" is not a store; allowed are a folder, file:///folder and s3://bucket/prefix', seen=text
    )


def options_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of object stores that an environment holds; an edge passes them in.

    Other ``AWS_*`` variables are those of other programs, and no store of ours knows them.
    """
    return {name: environment[name] for name in _SETTINGS if name in environment}
