"""livemig's bare-metal guest as QEMU sees it: its image, its configuration words, what it writes down.

The layout is that of ``guest/guest.S``; all words are big endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from livemig.errors import ProtocolError

STATUS: Final = 0x4000
"""Address of the status block, of ``STATUS_WORDS`` words."""
STATUS_WORDS: Final = 6
RING: Final = 0x100000
ENTRIES: Final = 4096
RECORD: Final = 32
BASE: Final = 16 << 20
"""What it fills and dirties begins here."""
PAGE: Final = 4096

_CONFIGURATION: Final = 0x3000
_MAGIC, _READY = 0x4C4D4346, 0x4C4D4947
_DRIFT_FREE, _SET_TIMEBASE, _FILL, _MASK, _DIRTY, _ANYWHERE = 1, 4, 8, 16, 32, 64
_WORD: Final = 1 << 32


def image(machine: str) -> Path:
    """The image for ``machine``, given to QEMU as ``-bios``."""
    name = "guest-pseries.bin" if machine == "pseries" else "guest-mac.elf"
    return Path(__file__).parent / "guest" / name


@dataclass(frozen=True, slots=True)
class Orders:
    """What the guest does.

    Args:
        period: of the decrementer, in ticks, 1 to 2^31 - 1. drift_free: counted from the last deadline.
        dirty_pages: written by each interrupt, ``anywhere`` in the working set or one after the other.
        working_set, filled: bytes from :data:`BASE` on. masked_loops: 0 for never. set_timebase: 0 for nothing.
    """

    period: int
    drift_free: bool = True
    dirty_pages: int = 0
    anywhere: bool = False
    working_set: int = 0
    filled: int = 0
    masked_loops: int = 0
    set_timebase: int = 0

    def words(self) -> list[tuple[int, int]]:
        """(address, 32 bits) of each configuration word."""
        flags = (
            _DRIFT_FREE * self.drift_free
            | _SET_TIMEBASE * bool(self.set_timebase)
            | _FILL * bool(self.filled)
            | _MASK * bool(self.masked_loops)
            | _DIRTY * bool(self.dirty_pages)
            | _ANYWHERE * self.anywhere
        )
        timebase = divmod(self.set_timebase, _WORD)
        pages = self.dirty_pages, max(1, self.working_set // PAGE)
        words = [_MAGIC, self.period, flags, 1, self.masked_loops, BASE + self.filled, *timebase, *pages]
        return [(_CONFIGURATION + 4 * i, word) for i, word in enumerate(words)]


class Record(NamedTuple):
    """One decrementer interrupt as the guest saw it: TB, and DECR (signed) at the handler's entry."""

    seq: int
    tb: int
    decr_at_entry: int
    decr_written: int
    periods_skipped: int
    main_loop_count: int


def interrupts(status: list[int]) -> int | None:
    """How many interrupts it has written down, by the words of its status block; None if it is not ready yet."""
    return status[1] if len(status) == STATUS_WORDS and status[0] == _READY and status[4] == 1 else None


def records(count: int, ring: bytes) -> Iterator[Record]:
    """The last :data:`ENTRIES` of ``count`` records, from the ring's memory.

    Raises:
        ProtocolError: ``ring`` is not all of it.
    """
    if len(ring) != ENTRIES * RECORD:
        raise ProtocolError("guest memory", "ring", f"{len(ring)} bytes, not {ENTRIES * RECORD}")
    for i in range(max(0, count - ENTRIES), count):
        seq, tbu, tbl, decr, wrote, skipped, loop, _ = struct.unpack_from(">IIIiIIII", ring, i % ENTRIES * RECORD)
        yield Record(seq, tbu << 32 | tbl, decr, wrote, skipped, loop)
