"""Which cells of a sheet show an error such as #N/A? Counted in the file itself: the reader gives them as empty."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zipfile
from collections import Counter
from pathlib import Path

_CELL = re.compile(rb'<(?:\w+:)?c\s(?=[^>]*\bt="e")[^>]*?\br="([A-Z]+)(\d+)"')
_BLOCK = 1 << 20
_LONGEST_CELL = 1_000
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def count_error_cells(file: Path, sheet: str, *, below: int) -> Counter[int]:
    """Return how many error cells each column has below a row; columns and rows count from 1.

    Only for the open XML formats (xlsx, xlsm). Empty for others: their errors are read as missing, uncounted.
    """
    found: Counter[int] = Counter()
    if file.suffix.lower() not in (".xlsx", ".xlsm"):
        return found
    with zipfile.ZipFile(file) as parts:
        path = _part_of(parts, sheet)
        if path is None:
            return found
        with parts.open(path) as content:
            kept = b""
            while block := content.read(_BLOCK):
                text = kept + block
                end = 0
                for cell in _CELL.finditer(text):
                    end = cell.end()
                    if int(cell[2]) > below:
                        found[_number_of(cell[1])] += 1
                kept = text[max(end, len(text) - _LONGEST_CELL) :]
    return found


def _part_of(parts: zipfile.ZipFile, sheet: str) -> str | None:
    """Return the part of the package that holds a sheet."""
    try:
        book = ET.fromstring(parts.read("xl/workbook.xml"))  # noqa: S314  # expat here has no external entities, and limits
        relations = ET.fromstring(parts.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    except (KeyError, ET.ParseError):
        return None
    targets = {relation.get("Id"): relation.get("Target", "") for relation in relations}
    for one in book.iter():
        if one.tag.endswith("}sheet") and one.get("name") == sheet:
            target = targets.get(one.get(_RELATION), "")
            path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            return path if path in parts.namelist() else None
    return None


def _number_of(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number
