"""What does a person read about a packaged model?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trueup.loop.packaging import Packaged


def describe_packaged(packaged: Packaged) -> list[str]:
    """Return the ways of answering with what kept the shipped one slow, the certificate, and what is stale."""
    from trueup.bundle.latency import describe_latencies
    from trueup.bundle.parity import describe_certificate
    from trueup.bundle.vulnerabilities import describe_check

    lines = describe_latencies(packaged.latencies) if packaged.latencies else []
    lines += [describe_certificate(packaged.certificate)] if packaged.certificate else []
    lines += describe_check(packaged.bundle.vulnerabilities)
    if packaged.stale:
        changed = " and ".join(packaged.stale)
        lines += [f"Since this model was trained, {changed} changed; run `trueup train` for a model of today"]
    return lines
