"""How does a project start? `trueup init`: a trueup.toml to fill in, or a complete example."""

from __future__ import annotations

import argparse
from importlib.resources import as_file, files
from pathlib import Path

from trueup.cli.console import Console
from trueup.cli.exits import OK, EnvironmentUnfit, FolderTaken, WrongUsage
from trueup.cli.workspace import write_whole
from trueup.kernel.errors import nearest_spelling

EXAMPLES = ("application-fraud",)

STARTER = """\
# A Trueup project. Replace what stands in <angle brackets>, then run: trueup check

[project]
name = "{name}"

# What business and data people agree on. All of it is signed.
[charter]
objective = "<what should get better, for whom, within which limits>"
currency = "EUR"
timezone = "Europe/Berlin"
sponsor = "<who pays for the result>@example.com"
action = "reveals"                     # or "prevents" (with success_share), when acting changes the outcome
# baseline_rule = "amount > 20000"     # what decides today; left out: nobody acts

# What one case is worth or costs in itself: SQL over the row, in the currency.
[charter.payoff]
true_positive  = "-30"
false_positive = "-30"
false_negative = "-1000"
true_negative  = "0"

[charter.capacity]
cases = 100
per = "day"

[[charter.retraining]]
name = "as-agreed"
trigger = ["every month"]

[data]
source = "<file, glob or URL>"
case_id = "<column>"
time = "<when the case is decided: a column or SQL>"
label = "<the outcome: a column or SQL>"
# label_known_at = "<when this row's outcome became known>"
# label_final_at = "<time> + INTERVAL 45 DAY"   # after it no news means the negative outcome
exclude = []                           # columns written after the decision
personal = []
"""


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup init`."""
    folder = Path(arguments.project)
    refuse_taken(folder)
    if arguments.example is None:
        write_starter(folder)
    else:
        copy_example(arguments.example, folder)
    written = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    document = {"project": str(folder), "example": arguments.example, "files": written}
    following = "trueup check" if str(folder) == "." else f"cd {folder} && trueup check"
    console.result(document, [f"{folder}: {', '.join(written)}", f"Next: {following}"])
    return OK


def refuse_taken(folder: Path) -> None:
    """Raise `FolderTaken` where a project exists already."""
    if (folder / "trueup.toml").exists():
        raise FolderTaken(
            f"{folder / 'trueup.toml'} exists; nothing was changed. Name another folder, or remove the file first",
            folder=str(folder),
        )
    if folder.exists() and not folder.is_dir():
        raise FolderTaken(f"{folder} is a file; name a folder", folder=str(folder))


def write_starter(folder: Path) -> None:
    """Write a trueup.toml to fill in, named after the folder."""
    name = "".join(c if c.isalnum() else "-" for c in folder.resolve().name.lower()).strip("-") or "project"
    _make(folder)
    write_whole(folder / "trueup.toml", STARTER.format(name=name))


def copy_example(name: str, folder: Path, *, drift: bool = True) -> None:
    """Copy an example project out of the package and simulate its data; trueup.toml comes last.

    Parameters
    ----------
    name : str
        One of `EXAMPLES`.
    folder : Path
        Made where it is missing; holds no project yet.
    drift : bool
        Whether the simulated world changes in its second year.
    """
    if name not in EXAMPLES:
        hint = nearest_spelling(name, EXAMPLES)
        raise WrongUsage(f'there is no example "{name}"{hint}; there is: {", ".join(EXAMPLES)}', example=name)
    from trueup.data.lender import write_applications

    _make(folder)
    write_applications(folder / "applications.parquet", per_day=PER_DAY, drift=drift)
    with as_file(files("trueup.cli").joinpath("examples", name)) as source:
        for file in sorted(source.iterdir(), key=lambda path: (path.name == "trueup.toml", path.name)):
            if file.is_file():
                write_whole(folder / file.name, file.read_text(encoding="utf-8"))


PER_DAY = 65.0
"""Applications a day of the example: enough to tell strategies apart, few enough for the demo's minute."""


def example_text(name: str, file: str) -> str:
    """Return a file of an example as it is in the package."""
    return files("trueup.cli").joinpath("examples", name, file).read_text(encoding="utf-8")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentUnfit(f"cannot make the folder {folder}: {error.strerror}", folder=str(folder)) from error
