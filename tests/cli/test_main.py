"""Does the command line answer fast, and fail in the documented ways?"""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from trueup import __version__
from trueup.cli import main as main_module
from trueup.cli.arguments import build_parser, command_named
from trueup.cli.exits import BAD_INPUT, CHECK_FAILED, ENVIRONMENT, FAULT, INTERRUPTED, OK, exit_code_of
from trueup.kernel.errors import TrueupError

COMMANDS = ("init", "check", "ingest", "train", "rehearse", "report", "sign", "demo", "doctor")
HEAVY = (
    "numpy",
    "pandas",
    "pyarrow",
    "duckdb",
    "sklearn",
    "lightgbm",
    "deltalake",
    "sqlglot",
    "optuna",
    "tqdm",
    "jinja2",
)


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from trueup.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert all(name in done.stdout for name in COMMANDS)


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main_module.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"trueup {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_takes_json(name: str) -> None:
    assert build_parser().parse_args([name, "--json"]).json is True
    assert callable(command_named(name))


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main_module.main([]) == OK
    assert "usage: trueup" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["nonsense"], ["rehearse", "--workers", "0"], ["check", "--no-such-option"]])
def test_wrong_usage_exits_with_2_and_says_where_help_is(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main_module.main(argv) == BAD_INPUT
    assert "--help" in capsys.readouterr().err


def test_with_json_an_error_is_a_document_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_module.main(["init", str(tmp_path / "p"), "--example", "aplication-fraud", "--json"]) == BAD_INPUT
    seen = capsys.readouterr()
    error = json.loads(seen.out)["error"]
    assert error["code"] == "cli.usage"
    assert "application-fraud" in error["message"]
    assert "Traceback" not in seen.err


class _Unsigned(TrueupError):
    code = "bundle.bad-signature"


class _Full(TrueupError):
    code = "lake.full"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TrueupError("wrong"), BAD_INPUT),
        (_Unsigned("tampered"), CHECK_FAILED),
        (_Full("full"), ENVIRONMENT),
        (OSError(errno.ENOSPC, "No space left on device"), ENVIRONMENT),
        (KeyboardInterrupt(), INTERRUPTED),
        (ZeroDivisionError("oops"), FAULT),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), "cli.interrupted", "nothing is half-written"),
        (OSError(errno.EROFS, "Read-only file system", "x.parquet"), "cli.environment", "x.parquet"),
        (ZeroDivisionError("oops"), "cli.fault", "ZeroDivisionError"),
    ],
)
def test_errors_from_outside_are_told_in_words(error: BaseException, code: str, words: str) -> None:
    told, message, _ = main_module.describe(error)
    assert told == code
    assert words in message
