"""Where does the next whole frame begin behind damage? Found in a time that grows with the size of the segment alone.

Every place that may be a frame's head is tried. To know the checksum of what follows it, its bytes are not read again
for each: CRC-32 is linear, so the checksum of any stretch follows from those of two prefixes and its length (as in
zlib's ``crc32_combine``), and prefixes are kept every `_STEP` bytes.
"""

from __future__ import annotations

import functools
import re
import struct
import zlib
from array import array

HEAD = struct.Struct("<II")
"""Before each frame: its length, and the checksum of length and bytes."""
LARGEST_FRAME = 256 * 1024 * 1024
"""Bytes. A longer length in a file is damage."""
_STEP = 4096
_POLYNOMIAL = 0xEDB88320  # of CRC-32, lowest power first, as zlib has it
_ALL = 0xFFFFFFFF


class FrameSearch:
    """Finds whole frames in the content of one segment.

    Parameters
    ----------
    content : bytes
    salt : int
        Of the segment.
    """

    def __init__(self, content: bytes, *, salt: int) -> None:
        self._content, self._view, self._salt = content, memoryview(content), salt
        self._base = 0
        self._prefixes = array("I", [_ALL])

    def whole_at(self, at: int) -> bytes | None:
        """Return the frame whose head is at a place; None where no whole one is."""
        length = self.length_at(at)
        if not length:
            return None
        frame = self._content[at + HEAD.size : at + HEAD.size + length]
        return frame if zlib.crc32(frame, length ^ self._salt) == HEAD.unpack_from(self._content, at)[1] else None

    def length_at(self, at: int) -> int:
        """Return the length that a head at a place says; 0 where none can be, or where the frame would not fit."""
        if at + HEAD.size > len(self._content):
            return 0
        length: int = HEAD.unpack_from(self._content, at)[0]
        return length if length <= min(LARGEST_FRAME, len(self._content) - at - HEAD.size) else 0

    def next_whole(self, start: int) -> int | None:
        """Return the first place from `start` on where a whole frame begins; None where there is none.

        Notes
        -----
        O(n) for all calls with growing `start` together: some 25 microseconds for each place that says a length that
        fits, which of random bytes one in 64 does in a segment of 64 MiB.
        """
        if self._base == 0:
            self._base = start
        most = (len(self._content) - start) >> 24
        heads = re.compile(rb"(?s)(?=(?!\0{4})...[\0-\x%02x])" % min(most, LARGEST_FRAME >> 24))
        for found in heads.finditer(self._content, start):
            at = found.start()
            if self.length_at(at) and self._has_checksum(at):
                return at
        return None

    def _has_checksum(self, at: int) -> bool:
        length, checksum = HEAD.unpack_from(self._content, at)
        begin = at + HEAD.size
        if length <= _STEP:
            found = zlib.crc32(self._view[begin : begin + length], length ^ self._salt)
        else:
            # registers of CRC-32 are the complements of what zlib takes and returns
            before = (length ^ self._salt) ^ self._prefix(begin)
            found = _times(_power(length), before) ^ self._prefix(begin + length)
        return bool(found == checksum)

    def _prefix(self, end: int) -> int:
        """Return the checksum of everything from `base` on, begun with a register of zeros."""
        place = (end - self._base) // _STEP
        while len(self._prefixes) <= place:
            done = self._base + (len(self._prefixes) - 1) * _STEP
            self._prefixes.append(zlib.crc32(self._view[done : done + _STEP], self._prefixes[-1]))
        return zlib.crc32(self._view[self._base + place * _STEP : end], self._prefixes[place])


def _times(one: int, other: int) -> int:
    """Return the product of two polynomials over GF(2), modulo that of CRC-32."""
    product = 0
    while one:
        if one & 0x80000000:
            product ^= other
        one = one << 1 & _ALL
        other = other >> 1 ^ _POLYNOMIAL if other & 1 else other >> 1
    return product


def _power(length: int) -> int:
    """Return what `length` zero bytes multiply a register by: x to the power of 8 times `length`."""
    tables = _powers()
    product = tables[0][length & 255]
    for place, table in enumerate(tables[1:], 1):
        if digit := length >> 8 * place & 255:
            product = _times(table[digit], product)
    return product


@functools.cache
def _powers() -> tuple[tuple[int, ...], ...]:
    """Return x to the power of 8 times each number of one byte, for each of the four bytes of a length."""
    tables, step = [], 1 << 23  # x to the power of 8
    for _ in range(4):
        row = [1 << 31]  # 1
        for _ in range(256):
            row.append(_times(row[-1], step))
        step = row.pop()
        tables.append(tuple(row))
    return tuple(tables)
