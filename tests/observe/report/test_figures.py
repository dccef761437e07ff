from __future__ import annotations

import pytest

from trueup.observe.report import figures


@pytest.mark.parametrize(
    ("amount", "text"),
    [(1_467_125.4, "€1,467,125"), (-64.2, "−€64"), (0.0, "€0"), (0.42, "€0.42"), (-2.4, "−€2.40"),
     (None, "not known"), (float("nan"), "not known")],
)  # fmt: skip
def test_money_has_its_sign_before_the_currency_and_cents_only_when_small(amount: float | None, text: str) -> None:
    assert figures.money(amount, "EUR") == text


def test_a_currency_without_a_symbol_keeps_its_code() -> None:
    assert figures.money(1_500, "SEK") == "SEK 1,500"


@pytest.mark.parametrize(
    ("value", "text"), [(0.62, "62%"), (1.0, "100%"), (0.9999, "99.9%"), (0.0, "0%"), (0.001, "0.1%"), (-0.25, "−25%")]
)
def test_a_share_is_never_rounded_to_all_or_nothing(value: float, text: str) -> None:
    assert figures.share(value) == text


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2015-10-01", "2015-11-01", "Oct 2015"),
        ("2015-10-01", "2015-10-31", "Oct 2015"),
        ("2015-12-01T00:00:00+00:00", "2016-01-01T00:00:00+00:00", "Dec 2015"),
        ("2015-10-01", "2016-01-01", "Q4 2015"),
        ("2015-10-05", "2015-10-12", "5 Oct 2015"),
        ("spring", "summer", "spring"),
    ],
)
def test_a_window_is_named_by_its_calendar_period(start: str, end: str, text: str) -> None:
    assert figures.window_text(start, end) == text


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2015-10-01", "2017-08-31", "23 months"),
        ("2015-10-01", "2017-09-01", "23 months"),
        ("2015-10-05", "2015-11-02", "4 weeks"),
        ("2015-10-05", "2015-10-06", "1 day"),
        ("2015-10-05", "2016-01-14", "3 months"),
    ],
)
def test_the_length_of_a_rehearsal_is_said_in_the_largest_whole_unit(start: str, end: str, text: str) -> None:
    assert figures.span_text(start, end) == text


def test_a_limit_is_said_in_words() -> None:
    assert figures.limit_text("<= 4.0") == "at most 4"
    assert figures.limit_text(">= 0.70", as_share=True) == "at least 70%"
    assert figures.limit_text("<= 0.005", as_share=True) == "at most 0.5%"
    assert figures.limit_text("often") == "often"


def test_numbers_keep_three_significant_digits_and_a_true_minus() -> None:
    assert [figures.number(v) for v in (0.7241, -3.456, 1240.4, 0.0)] == ["0.724", "−3.46", "1,240", "0"]


@pytest.mark.parametrize(("text", "begun"), [("no cases", "No cases"), ("12 cases", "12 cases"), ("", "")])
def test_a_sentence_begins_with_a_capital_and_goes_on_as_it_is(text: str, begun: str) -> None:
    assert figures.sentence(text) == begun
