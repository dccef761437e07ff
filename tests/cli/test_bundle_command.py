"""Every action that the parser knows is carried out by a function."""

from __future__ import annotations

import argparse
from importlib import import_module

import pytest

from trueup.cli.arguments import build_parser
from trueup.cli.bundle_command import _ACTIONS
from trueup.cli.main import main


def test_every_action_has_its_function() -> None:
    [commands] = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    [actions] = [a for a in commands.choices["bundle"]._actions if isinstance(a, argparse._SubParsersAction)]

    assert set(actions.choices) == set(_ACTIONS)
    for place in _ACTIONS.values():
        module, _, function = place.partition(".")
        assert callable(getattr(import_module(f"trueup.cli.bundles.{module}"), function))


def test_without_an_action_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle"]) == 2
    assert "usage: trueup bundle" in capsys.readouterr().err
