"""Is every refusal, endpoint and entry of the server's answers documented?"""

from __future__ import annotations

from pathlib import Path

import pytest

import trueup.client
from trueup.serve.facts import FORMS, KINDS
from trueup.serve.open_inference import OUTPUTS
from trueup.serve.refusals import Refused
from trueup.serve.work import FAILURES

TEXT = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")


def kinds(base: type[Refused]) -> list[type[Refused]]:
    return [kind for one in base.__subclasses__() for kind in (one, *kinds(one))]


@pytest.mark.parametrize("kind", kinds(Refused))
def test_every_refusal_is_in_the_table_with_its_status(kind: type[Refused]) -> None:
    assert f"| {kind.status} | `{kind.code}` |" in TEXT


@pytest.mark.parametrize("name", [*KINDS, *FORMS, *OUTPUTS, *FAILURES])
def test_every_path_entry_output_and_failure_is_named(name: str) -> None:
    assert f"`{name}`" in TEXT or f"`/{name}`" in TEXT


def test_every_error_of_the_client_is_named() -> None:
    offered = [name for name in trueup.client.__all__ if issubclass(getattr(trueup.client, name), Exception)]
    assert [name for name in offered if f"`{name}`" not in TEXT] == []
