"""How does a command speak? Results on stdout, the rest on stderr; with ``--json`` stdout is one document."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm


@dataclass
class Console:
    """Where a command writes."""

    as_json: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    _bar: tqdm[Any] | None = None
    _last: str = ""

    def result(self, document: Mapping[str, object], lines: Iterable[str]) -> None:
        """Show what a command found: `document` with ``--json``, else `lines`."""
        self.end_progress()
        if self.as_json:
            self.out.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
        else:
            self.out.write("".join(f"{line}\n" for line in lines))
        self.out.flush()

    def note(self, text: str) -> None:
        """Say something on the way; on stderr, so that it never mixes with a result."""
        self.end_progress()
        self.err.write(f"{text}\n")
        self.err.flush()

    def progress(self, done: int, total: int | None = None, text: str = "") -> None:
        """Show how far a command is: a bar on a terminal, else one line whenever `text` changes.

        Parameters
        ----------
        done, total : int
            Steps done and to do; `total` is None (or 0) where nobody knows.
        text : str
            What is being done.
        """
        if not self.err.isatty():
            if text and text != self._last:
                self._last = text
                self.err.write(f"{text} ...\n")
                self.err.flush()
            return
        if self._bar is None or text != self._last or done < self._bar.n:
            self._open_bar(total, text)
        bar = self._bar
        if bar is not None:
            bar.total = total or None
            bar.update(done - bar.n)

    def _open_bar(self, total: int | None, text: str) -> None:
        from tqdm import tqdm

        self.end_progress()
        self._last = text
        self._bar = tqdm(total=total or None, desc=text, file=self.err, leave=False, dynamic_ncols=True)

    def end_progress(self) -> None:
        """Take the bar away, if there is one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def error(self, code: str, message: str, facts: Mapping[str, object] | None = None) -> None:
        """Say why a command ended early: text on stderr, and with ``--json`` an error document on stdout."""
        self.end_progress()
        self.err.write(f"trueup: {message}\n")
        self.err.flush()
        if self.as_json:
            document = {"error": {"code": code, "message": message, **dict(facts or {})}}
            self.out.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
            self.out.flush()
