"""Rows to check, written as Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.align.quality_rules import Check, QualityRule
from trueup.data.duck import connect
from trueup.data.quality.checking import Rows, Surroundings, check_rows
from trueup.data.reading import read_source
from trueup.data.sources import find_files
from trueup.lake.quality_results import RuleResult

CheckOne = Callable[..., RuleResult]


@pytest.fixture
def check_one(tmp_path: Path) -> Iterator[CheckOne]:
    """Evaluate one rule on columns given as lists."""
    with closing(connect(temp_directory=tmp_path / "duckdb")) as connection:

        def run(
            check: Check,
            columns: dict[str, Any],
            *,
            allowed_share: float = 0.0,
            case_id: tuple[str, ...] = (),
            as_of: int = 0,
            previous: int | None = None,
        ) -> RuleResult:
            file = tmp_path / "cases.parquet"
            pq.write_table(pa.table(columns), file)
            around = Surroundings(
                as_of,
                previous,
                lambda named, duck: (
                    read_source(find_files(named, base=tmp_path), connection=duck, on_bytes=lambda _: None).relation
                ),
            )
            rule = QualityRule("rule", "kind", check, allowed_share=allowed_share)
            (result,) = check_rows([rule], Rows(connection, (file,), tmp_path / "spill", case_id), around)
            return result

        yield run
