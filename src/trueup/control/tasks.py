"""What is done by jobs, on time or after a change: each is one step that may run twice and has its effect once."""

from __future__ import annotations

import datetime as dt

from procrastinate.contrib.django import app

from trueup.control import audit


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="seal-audit", pass_context=False)
def seal_audit(timestamp: int) -> int:
    """Seal what waits in the audit trail, and return how many entries that were."""
    sealed = 0
    while found := audit.seal(at=dt.datetime.now(dt.UTC)):
        sealed += found
    return sealed
