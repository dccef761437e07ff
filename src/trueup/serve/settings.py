"""How was a server told to run? One frozen record, made at the edge and passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trueup.serve.http_limits import FrontLimits


@dataclass(frozen=True)
class ServerSettings:
    """Everything a server process needs to know that is not desired state."""

    lake: str
    """Folder or URL of the store."""
    projects: tuple[str, ...]
    spool: Path
    """Local folder for hot segments, counters and copies."""
    trusted_keys: tuple[Path, ...]
    store_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Credentials of an object store."""
    certificate: Path | None = None
    certificate_key: Path | None = None
    limits: FrontLimits = field(default_factory=FrontLimits)
    look_seconds: float = 0.02
    """Between two looks at what is desired in a folder; a revoked token ends within that and the time of a look."""
    look_afar_seconds: float = 0.25
    """The same where the lake is an object store, which counts every look and charges for it; in a folder what else
    there is to do, such as trying a bundle again."""
    report_seconds: float = 2.0
    """Between two reports of the server's status."""
    grace_seconds: float = 10.0
    """How long requests in flight are waited for when the server ends."""
    rehearsing: bool = False
    """Whether requests say when they are decided, in the header ``trueup-now``: for playing the past."""
