"""The sponsor's report of a rehearsal: one HTML file.

This room decides how a result is said to people: the one sentence first, then how sure it is, then the proof. It shows
what the record holds and refuses to compute results of its own, to run scripts, to fetch anything, or to look at a
clock: the same record gives the same file.
"""

from trueup.observe.report.render import render_report

__all__ = ["render_report"]
