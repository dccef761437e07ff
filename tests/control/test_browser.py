"""The pages in a real Chromium: a charter's way by clicks, and whether everybody can use what is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from tests.control.conftest import Visit
from tests.control.people import NOW, PASSWORD, People

from trueup.control import accounts

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
CHARTER = "/u/application-fraud/charter"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


def _sign_in(page: Page, website: str, email: str) -> None:
    page.goto(f"{website}/signin")
    page.get_by_label("Work e-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{website}/portfolio")


@pytest.mark.parametrize("javascript", [True, False])
def test_two_people_agree_on_a_charter_by_clicks(
    people: People, website: str, chromium: Browser, javascript: bool
) -> None:
    reviewer = chromium.new_context(java_script_enabled=javascript).new_page()
    _sign_in(reviewer, website, people.reviewer.email)
    reviewer.get_by_role("link", name="Give feedback on the charter").first.click()
    reviewer.get_by_label("What should the sponsor know?").fill("Two shifts can do it.")
    reviewer.get_by_role("button", name="It works for us").click()

    sponsor = chromium.new_context(java_script_enabled=javascript).new_page()
    _sign_in(sponsor, website, people.sponsor.email)
    sponsor.get_by_role("link", name="Sign the charter").first.click()
    assert sponsor.get_by_text("Two shifts can do it.").is_visible()
    sponsor.get_by_role("button", name="Sign version 1").click()

    assert sponsor.get_by_text("Signed by Maren Holt").is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_page_is_accessible_and_never_scrolls_sideways(
    people: People, visit: Visit, website: str, chromium: Browser, theme: str, width: int
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if theme == "dark" else "light"
    )
    page = context.new_page()
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    page.goto(f"{website}/signin")
    _expect_sound(page, width)
    _sign_in(page, website, people.sponsor.email)
    accounts.give_role(people.sponsor, "administrator", by=None, at=NOW)
    for address in (
        "/people",
        "/propose",
        "/portfolio",
        CHARTER,
        f"{CHARTER}?v=1",
        "/u/application-fraud/activity",
        "/portfolio?q=nothing",
    ):
        page.goto(website + address)
        _expect_sound(page, width)
    page.wait_for_load_state("networkidle")
    assert noise == []
    for address in ("/u/none", "/welcome?link=none"):  # the browser itself notes that these are refused
        page.goto(website + address)
        _expect_sound(page, width)


def _expect_sound(page: Page, width: int) -> None:
    found = Axe().run(page, options=RULES)
    told = [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found.response["violations"]]
    assert (page.url, told) == (page.url, [])
    assert page.evaluate("document.documentElement.scrollWidth") == width
