"""Does every code that ends a command in a special way belong to an error somebody can raise?"""

from __future__ import annotations

from collections.abc import Iterator

from trueup.align import errors as align_errors
from trueup.build import errors as build_errors
from trueup.bundle import errors as bundle_errors
from trueup.cli import exits
from trueup.compute import pool
from trueup.data import errors as data_errors
from trueup.kernel.errors import TrueupError
from trueup.lake import capacity_file, log_manifest
from trueup.lake import errors as lake_errors
from trueup.loop import prepare

ROOMS = (
    *(align_errors, build_errors, bundle_errors, exits, pool, data_errors, lake_errors, prepare),
    *(capacity_file, log_manifest),
)


def _codes(kind: type[TrueupError]) -> Iterator[str]:
    yield kind.code
    for child in kind.__subclasses__():
        yield from _codes(child)


def test_every_special_code_is_one_that_an_error_has() -> None:
    assert ROOMS
    special = {*exits._ENVIRONMENT_CODES, *exits._CHECK_CODES}
    assert special - set(_codes(TrueupError)) == set()


def test_no_code_ends_a_command_in_two_ways() -> None:
    assert not set(exits._ENVIRONMENT_CODES) & set(exits._CHECK_CODES)
