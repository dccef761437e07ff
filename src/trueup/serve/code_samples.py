"""How is an endpoint asked from a shell, from Python, from JavaScript? Code that runs as it is copied.

The token stands in the environment variable TOKEN, so that no copy of it lies in a file or a shell's history.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

URL = "http://localhost:8080"
"""Where `trueup serve` answers unless it is told otherwise."""
Sample = dict[str, str]


def code_samples(method: str, path: str, body: Mapping[str, Any] | None, *, token: bool, python: str) -> list[Sample]:
    """Return one request in three languages.

    Parameters
    ----------
    method, path : str
    body : mapping or None
        What is sent as JSON.
    token : bool
        Whether the endpoint needs one.
    python : str
        The call of `trueup.client`, such as ``client.model()``; for a class that it names the import is added.
    """
    return [
        {"lang": "curl", "source": _curl(path, body, token=token)},
        {"lang": "Python", "source": _python(path, python, token=token)},
        {"lang": "JavaScript", "source": _javascript(method, path, body, token=token)},
    ]


def arguments(values: Mapping[str, Any]) -> str:
    """Return named arguments of a Python call."""
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def _curl(path: str, body: Mapping[str, Any] | None, *, token: bool) -> str:
    parts = ["curl", "-sS"]
    if token:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if body is not None:
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(body))}"]
    return " ".join([*parts, f"{URL}{path}"])


def _python(path: str, call: str, *, token: bool) -> str:
    project = (
        path.split("/")[3] if path.startswith("/v2/models/") else path.split("/")[2] if path.count("/") == 2 else ""
    )
    named = f", project={project!r}" if token and project and "client.get" not in call else ""
    shown = ', token=os.environ["TOKEN"]' if token else ""
    record = call.partition("(")[2].partition("(")[0]
    imports = ["Client", *([record] if record.isidentifier() else [])]
    return (
        f"{'import os' + chr(10) + chr(10) if token else ''}from trueup.client import {', '.join(imports)}\n\n"
        f'with Client("{URL}"{shown}{named}) as client:\n    print({call})\n'
    )


def _javascript(method: str, path: str, body: Mapping[str, Any] | None, *, token: bool) -> str:
    headers = []
    if token:
        headers.append("Authorization: `Bearer ${process.env.TOKEN}`")
    options = []
    if body is not None:
        headers.append('"Content-Type": "application/json"')
        options = [f'method: "{method}"', f"body: JSON.stringify({json.dumps(body)})"]
    if headers:
        options.append(f"headers: {{{', '.join(headers)}}}")
    asked = f'"{URL}{path}"' + (f", {{{', '.join(options)}}}" if options else "")
    return f"fetch({asked})\n  .then((answer) => answer.text())\n  .then(console.log);\n"
