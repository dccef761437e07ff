"""One command starts the place where people agree, and Ctrl-C ends all of it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
from tests.serve.running import read_document

_PASSWORD = "a long sentence nobody guesses"


def test_one_command_leads_to_the_first_administrators_portfolio_and_ctrl_c_ends_everything(open_folder: Path) -> None:
    home = open_folder / "home"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "trueup"), "up", "--home", str(home), "--port", str(port), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            told = read_document(process)
            transport = httpx.HTTPTransport(retries=60)
            with httpx.Client(base_url=told["url"], transport=transport, follow_redirects=True) as browser:
                page = browser.get(told["first_link"])
                found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
                assert found is not None
                form = {
                    "csrfmiddlewaretoken": found[1],
                    "link": told["first_link"].partition("link=")[2],
                    "organisation": "Northfield Finance",
                    "email": "ada@example.com",
                    "name": "Ada Lindqvist",
                    "password": _PASSWORD,
                }
                portfolio = browser.post("/welcome", data=form, headers={"referer": told["url"]})
                assert portfolio.url.path == "/portfolio"
                assert "Ada Lindqvist" in portfolio.text
                assert browser.get("/static/control/trueup.css").status_code == 200
            second = subprocess.run(command, capture_output=True, text=True, check=False)
            assert json.loads(second.stdout)["error"]["code"] == "control.already-running"
            children = psutil.Process(process.pid).children(recursive=True)
            assert children
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not [child for child in children if child.is_running()]
    assert (home / "secret.key").stat().st_mode & 0o077 == 0
