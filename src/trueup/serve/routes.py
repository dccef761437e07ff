"""Which operation is meant by this method and path? A look-up in a table; nothing is matched by patterns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from trueup.serve.facts import KINDS
from trueup.serve.refusals import NoSuchPath, WrongMethod


class Route(NamedTuple):
    """What a request means."""

    operation: str
    project: str = ""
    """Empty where the operation is the server's."""
    version: str = ""
    """Of the model, as the path names it; empty: whichever decides."""


_OF_SERVER = {
    b"/v2": "server_metadata",
    b"/v2/health/live": "live",
    b"/v2/health/ready": "ready",
    b"/health/live": "live",
    b"/health/ready": "ready",
    b"/metrics": "metrics",
    b"/openapi.json": "openapi",
}
_OF_MODEL = {"": (b"GET", "model_metadata"), "/ready": (b"GET", "model_ready"), "/infer": (b"POST", "infer")}
_VERSIONS = b"/versions/"


class Routes:
    """The paths of a server that serves these projects.

    Parameters
    ----------
    projects : sequence of str
    """

    def __init__(self, projects: Sequence[str]) -> None:
        self._table: dict[bytes, tuple[bytes, Route]] = {
            path: (b"GET", Route(operation)) for path, operation in _OF_SERVER.items()
        }
        for project in projects:
            self._add("POST", f"/predict/{project}", Route("predict", project))
            for kind in KINDS:
                self._add("POST", f"/{kind}/{project}", Route(kind, project))
            for end, (method, operation) in _OF_MODEL.items():
                self._add(method.decode(), f"/v2/models/{project}{end}", Route(operation, project))
        if len(projects) == 1:
            self._add("POST", "/predict", Route("predict", projects[0]))
            for kind in KINDS:
                self._add("POST", f"/{kind}", Route(kind, projects[0]))

    def find(self, method: bytes, path: bytes) -> Route:
        """Return what a request means.

        Raises
        ------
        NoSuchPath, WrongMethod
        """
        version = b""
        found = self._table.get(path)
        if found is None and _VERSIONS in path and path.startswith(b"/v2/models/"):
            model, _, rest = path.partition(_VERSIONS)
            version, slash, end = rest.partition(b"/")
            found = self._table.get(model + slash + end) if version else None
        if found is None:
            raise NoSuchPath("nothing is at this path; GET /openapi.json lists what is")
        allowed, route = found
        if method != allowed:
            names = "GET, HEAD" if allowed == b"GET" else allowed.decode()
            raise WrongMethod(f"this path takes {names}", allowed=names)
        return route._replace(version=version.decode("ascii", "replace")) if version else route

    def _add(self, method: str, path: str, route: Route) -> None:
        self._table[path.encode()] = (method.encode(), route)
