"""Do results and messages stay apart?"""

from __future__ import annotations

import io
import json

from trueup.cli.console import Console


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_result_is_lines_for_people_and_one_document_for_programs() -> None:
    people, programs = io.StringIO(), io.StringIO()
    Console(out=people).result({"rows": 3}, ["3 rows"])
    Console(as_json=True, out=programs).result({"rows": 3}, ["3 rows"])
    assert people.getvalue() == "3 rows\n"
    assert json.loads(programs.getvalue()) == {"rows": 3}


def test_notes_and_progress_never_reach_stdout() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out=out, err=err)
    console.note("reading")
    console.progress(1, 3, "fitting")
    console.progress(2, 3, "fitting")
    console.progress(1, 2, "scoring")
    assert out.getvalue() == ""
    assert err.getvalue() == "reading\nfitting ...\nscoring ...\n"


def test_on_a_terminal_progress_is_a_bar_that_goes_away() -> None:
    err = _Terminal()
    console = Console(err=err)
    console.progress(1, 4, "fitting")
    console.progress(4, 4, "fitting")
    console.note("done")
    assert "fitting" in err.getvalue()
    assert err.getvalue().endswith("done\n")


def test_an_error_is_text_on_stderr_and_with_json_also_a_document() -> None:
    out, err = io.StringIO(), io.StringIO()
    Console(as_json=True, out=out, err=err).error("data.empty-file", "the file is empty", {"file": "a.csv"})
    assert err.getvalue() == "trueup: the file is empty\n"
    assert json.loads(out.getvalue()) == {
        "error": {"code": "data.empty-file", "message": "the file is empty", "file": "a.csv"}
    }
