from __future__ import annotations

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from trueup.align.charter import Charter
from trueup.lake.rehearsals import Rehearsal
from trueup.observe.report import render_report

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")


class Sample(Protocol):
    @property
    def rehearsal(self) -> Rehearsal: ...
    @property
    def charter(self) -> Charter: ...


class Outline(HTMLParser):
    """What a screen reader and a network would notice."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._in_style = False
        self.feed(page)
        self.text = " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_style = tag == "style"
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(sample: Sample) -> str:
    return render_report(sample.rehearsal, charter=sample.charter)


def test_the_answer_comes_before_any_figure_or_chart(bookings: Sample) -> None:
    page = report(bookings)
    assert page.index('class="say"') < page.index('class="figs') < page.index("<figure")
    assert "Yes. A model refitted every month would have earned €225 k over 12 months;" in Outline(page).text


def test_the_recommended_strategy_is_marked_and_no_other(bookings: Sample) -> None:
    page = report(bookings)
    rows = re.findall(r'<tr><th scope="row">([\w-]+)<span class="sub">.*?</tr>', page, flags=re.S)
    assert rows[:4] == ["monthly", "charter", "never", "trailing-30d"]
    assert page.count("Recommended</span>") == 1
    assert "Recommended" in page[page.index('<tr><th scope="row">monthly') : page.index('<tr><th scope="row">charter')]


def test_every_figure_of_a_strategy_is_the_record_s(bookings: Sample) -> None:
    text = Outline(report(bookings)).text
    assert "€228,230 €2,750 €225,480 €194 k to €258 k 3,600 300 100% 11 Recommended" in text
    assert "€169,170 €0 €169,170 €141 k to €198 k 3,597 300 99.9% 1 Earns less" in text
    assert "−€12,400 €2,750 −€15,150 −€34 k to €3.5 k" in text


def test_every_window_shows_its_value_and_how_many_outcomes_are_in(bookings: Sample) -> None:
    text = Outline(report(bookings)).text
    assert "Oct 2015 4,100 300 201 100% €20,000 €21,400 €21,400 €0" in text
    assert "Sep 2016 4,243 300 190 31% €21,221 €6,130 so far €7,030 −€900" in text


def test_goals_guardrails_shifts_and_candidates_are_shown(bookings: Sample) -> None:
    text = Outline(report(bookings)).text
    assert "Cancellations caught 72.4% at least 70% Met" in text
    assert "Nights saved per call 1.31 at least 1.5 Missed" in text
    assert "False alarms per call that helped If broken: back to the last release 3.50 at most 4 Broken 1 time" in text
    assert "Guests called twice If broken: people are told 0.5% at most 0.5% Near limit" in text
    assert text.index("deposit_type") < text.index("lead_time Jul 2016") < text.index("country Aug 2016")
    assert "boosting €191,000 €164 k to €220 k 0.860 yes" in text


def test_warnings_say_the_column_in_plain_words(bookings: Sample) -> None:
    text = Outline(report(bookings)).text
    assert "“reservation_status” gives the outcome away" in text
    assert "+0.143" in text


def test_model_vocabulary_stays_in_the_part_for_the_data_team(bookings: Sample) -> None:
    page = report(bookings)
    for_sponsors = page[page.index("<main") : page.index('class="team"')]
    assert not re.search(r"\b(AUC|MAE|recall|precision|log loss|true positive|false positive)\b", for_sponsors, re.I)
    assert "AUC by month" in page[page.index('class="team"') :]


def test_a_forecast_speaks_of_savings_and_has_no_columns_for_cases_acted_on(every_sample: dict[str, Sample]) -> None:
    text = Outline(report(every_sample["rides"])).text
    assert "would have saved €41 k over 6 months" in text
    assert "Saved, after retraining cost" in text
    assert "acted on" not in text
    assert "Mean absolute error by month" in text


def test_no_retraining_worth_its_cost_is_said_first(every_sample: dict[str, Sample]) -> None:
    text = Outline(report(every_sample["quiet"])).text
    assert "Not worth retraining. A model that is never refitted would have earned €169 k" in text


def test_hostile_names_are_text(every_sample: dict[str, Sample]) -> None:
    page = report(every_sample["stress"])
    assert "<script" not in page
    assert "&lt;script&gt;alert(" in page


def test_two_renders_are_the_same(sample: Sample) -> None:
    assert report(sample) == report(sample)


def test_nothing_is_fetched_and_nothing_runs(sample: Sample) -> None:
    page = report(sample)
    outline = Outline(page)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:", page)
    assert not [t for t, a in outline.tags if t in ("script", "link", "img", "iframe") or "src" in a or "style" in a]
    assert all(a["href"] == "#main" for a in outline.all("a"))


def test_headings_descend_in_order_from_one_h1(sample: Sample) -> None:
    headings = Outline(report(sample)).headings
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))


def test_ids_are_unique_and_labels_point_to_them(sample: Sample) -> None:
    tags = Outline(report(sample)).tags
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in tags if "aria-labelledby" in a} <= set(ids)


def test_charts_have_a_label_and_a_table_behind_them(sample: Sample) -> None:
    page = report(sample)
    charts = [a for a in Outline(page).all("svg") if "chart" in str(a.get("class"))]
    assert all(a["role"] == "img" and a["aria-label"] for a in charts)
    assert page.count("</figure>\n<details") == page.count("<figure>")


def test_every_table_has_scoped_headers(sample: Sample) -> None:
    assert all(a.get("scope") in ("col", "row") for a in Outline(report(sample)).all("th"))


def test_without_windows_the_page_says_so(every_sample: dict[str, Sample]) -> None:
    assert "No windows yet" in report(every_sample["no_windows"])
    assert "Nothing was rehearsed." in report(every_sample["no_strategies"])


def test_a_window_without_final_outcomes_is_not_zero(bookings: Sample) -> None:
    chosen = bookings.rehearsal.strategies[1]
    open_window = replace(chosen.windows[11], value=None, label_maturity=0.0)
    changed = replace(chosen, windows=(*chosen.windows[:11], open_window))
    text = Outline(render_report(replace(bookings.rehearsal, strategies=(changed,)), charter=bookings.charter)).text
    assert "Sep 2016 4,243 300 190 0% €21,221 not known" in text


def test_further_notes_are_shown(bookings: Sample) -> None:
    page = render_report(bookings.rehearsal, charter=bookings.charter, notes={"Success": "assumed <30%>"})
    assert "assumed &lt;30%&gt;" in page


def listen(page: Page) -> list[str]:
    """Return a list that fills with what the page writes to the console and asks from anywhere."""
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    page.on("request", lambda request: noise.append(request.url))
    return noise


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed")
@pytest.mark.parametrize("width", [390, 860, 1440])
def test_no_sample_scrolls_sideways_requests_or_complains(
    every_sample: dict[str, Sample], tmp_path: Path, width: int
) -> None:
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        for name, sample in every_sample.items():
            file = tmp_path / f"{name}.html"
            file.write_text(report(sample), encoding="utf-8")
            page = browser.new_page(viewport={"width": width, "height": 900})
            noise = listen(page)
            page.goto(file.as_uri())
            wide = page.evaluate("document.documentElement.scrollWidth")
            page.close()
            assert (name, wide, noise) == (name, width, [file.as_uri()])
        browser.close()
