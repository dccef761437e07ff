"""How does the demo answer real requests? A server as `trueup serve` starts it, asked by a simulated stream.

The stream is the simulator's weeks after the table's last day, one request for each application, over HTTP. Each says
when it is decided (header ``trueup-now``), so that 60 days of capacity and of outcomes that come weeks later pass in
seconds; a request without that header is decided now.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.cli.console import Console
from trueup.cli.exits import EnvironmentUnfit
from trueup.cli.workspace import Workspace

if TYPE_CHECKING:
    import httpx

    from trueup.lake.served_results import Served

DAYS = 60
"""Of applications; the outcomes of the first 15 are all in by then."""
_WRITTEN_LATER = ("is_fraud", "confirmed_at", "collection_stage")
_NEWS_FOR = dt.timedelta(days=45)
_FACTS = 1_000
_SEALED_WITHIN_SECONDS = 60.0
_MAIN = "import sys; from trueup.cli.main import main; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True)
class Application:
    """One application, and what becomes of it."""

    row: Mapping[str, Any]
    applied_at: dt.datetime
    fraud: bool
    known_at: dt.datetime
    """When a fraud is confirmed; when no more news is expected of an honest one."""


@dataclass(frozen=True)
class DemoServer:
    """A server that answers for the demo's project."""

    process: subprocess.Popen[str]
    url: str
    token_file: Path
    project: str

    def example(self, row: Mapping[str, Any]) -> str:
        """Return a line for a shell that asks about an application."""
        body = shlex.quote(json.dumps({"rows": [row]}))
        return (
            f'curl -s -H "Authorization: Bearer $(cat {shlex.quote(str(self.token_file))})" '
            f"-d {body} {self.url}/predict/{self.project}"
        )


@contextlib.contextmanager
def demo_server(folder: Path, *, port: int) -> Iterator[DemoServer]:
    """Give a server of the demo's project; what an earlier demo served is forgotten.

    Raises
    ------
    EnvironmentUnfit
        The server did not start; it says itself why.
    """
    root = folder / ".trueup"
    for old in (root / "serving", root / "lake" / "serving", root / "lake" / "log"):
        shutil.rmtree(old, ignore_errors=True)
    command = [sys.executable, "-c", _MAIN, "serve", str(folder), "--port", str(port), "--rehearsing", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own command
    try:
        said = _first_document(process)
        if "url" not in said:
            message = said.get("error", {}).get("message", "it said nothing")
            raise EnvironmentUnfit(f"the demo's server did not start: {message}")
        yield DemoServer(process, said["url"], Path(said["token_file"]), said["projects"][0])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.communicate()


def _first_document(process: subprocess.Popen[str]) -> dict[str, Any]:
    text = ""
    for line in process.stdout or ():
        text += line
        if line == "}\n":
            break
    document: dict[str, Any] = json.loads(text) if text else {}
    return document


def next_applications(*, days: int, per_day: float, drift: bool) -> list[Application]:
    """Return the applications after the table's last day, in their order."""
    from trueup.data.lender import as_table
    from trueup.data.lender import next_applications as simulated

    return [_application(row) for row in as_table(simulated(days=days, per_day=per_day, drift=drift)).to_pylist()]


def _application(row: dict[str, Any]) -> Application:
    applied, fraud = row["applied_at"], bool(row["is_fraud"])
    sent = {
        name: value.isoformat() if isinstance(value, dt.datetime) else value
        for name, value in row.items()
        if name not in _WRITTEN_LATER
    }
    return Application(sent, applied, fraud, row["confirmed_at"] if fraud else applied + _NEWS_FOR)


def send(server: DemoServer, applications: Sequence[Application], console: Console) -> None:
    """Ask about each application when it comes in, and tell each evening what has become known of earlier ones."""
    import httpx

    headers = {"authorization": f"Bearer {server.token_file.read_text(encoding='utf-8')}"}
    news = sorted(applications, key=lambda application: application.known_at)
    told = 0
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
        for done, application in enumerate(applications):
            if done and application.applied_at.date() != applications[done - 1].applied_at.date():
                console.progress(done, len(applications), "sending applications")
                evening = applications[done - 1].applied_at
                told = _tell(client, server.project, news, told, now=evening)
            _post(client, f"/predict/{server.project}", {"rows": [application.row]}, now=application.applied_at)
        _tell(client, server.project, news, told, now=applications[-1].applied_at)
    console.end_progress()


def _tell(client: httpx.Client, project: str, news: Sequence[Application], told: int, *, now: dt.datetime) -> int:
    """Send the outcomes known by `now` that were not told yet, and return how many are told then."""
    known = told
    while known < len(news) and news[known].known_at <= now:
        known += 1
    facts = [
        {
            "association_id": application.row["application_id"],
            "outcome": application.fraud,
            "known_at": application.known_at.isoformat(),
        }
        for application in news[told:known]
    ]
    for first in range(0, len(facts), _FACTS):
        _post(client, f"/outcomes/{project}", facts[first : first + _FACTS], now=now)
    return known


def _post(client: httpx.Client, path: str, body: object, *, now: dt.datetime) -> None:
    answer = client.post(path, json=body, headers={"trueup-now": now.isoformat()})
    if answer.is_error:
        raise EnvironmentUnfit(f"the demo's server refused a request: {answer.text}")


def report_once_sealed(workspace: Workspace, project: str, *, rows: int) -> Served:
    """Return what the server did, once its log holds every row that was sent."""
    from trueup.cli.report_command import served_so_far

    deadline = time.monotonic() + _SEALED_WITHIN_SECONDS
    while True:
        served = served_so_far(workspace, project)
        if served is not None and served.sealed >= rows and served.served >= rows:
            return served
        if time.monotonic() > deadline:
            raise EnvironmentUnfit(
                f"the server's log was not sealed within {_SEALED_WITHIN_SECONDS:.0f} s; see "
                f"{workspace.root / 'serving' / 'sealing.log'}"
            )
        time.sleep(0.5)


def describe_served(served: Served) -> list[str]:
    """Return the server's figures as lines."""
    lines = [
        (
            f"Served {served.cases:,} cases; {served.acted:,} acted on, at most {served.most_in_period} a period; "
            f"{served.fallback} by the fallback"
        ),
        f"  answered {served.served:,} rows, logged {served.logged:,}, in the log {served.sealed:,}",
    ]
    if served.value is not None:
        value = served.value
        lines += [
            f"  earned {value.realised:,.0f} {served.currency} against the baseline on {value.settled:,} settled cases",
            f"  expected of the other {value.open:,}: {value.estimated:,.0f} {served.currency}",
        ]
    if served.latency_p50_ms is not None and served.latency_p99_ms is not None:
        lines.append(f"  recorded within {served.latency_p50_ms:.2f} ms (median), {served.latency_p99_ms:.2f} ms (p99)")
    return lines


def wait_for_the_end(server: DemoServer) -> None:
    """Return when the server has ended, or when somebody ends the demo."""

    def ended(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, ended)
    try:
        server.process.wait()
    except KeyboardInterrupt:
        pass  # the way a demo ends
    finally:
        signal.signal(signal.SIGTERM, before)
