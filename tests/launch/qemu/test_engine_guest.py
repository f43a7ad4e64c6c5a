"""livemig's bare-metal guest: what it is told, and what is read from it."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from livemig.errors import ProtocolError
from livemig.launch.qemu import guest
from livemig.launch.qemu.guest import Orders, Record, image, interrupts, records

SOURCE = Path(guest.__file__).parent / "guest"


def test_its_orders_are_the_words_that_its_source_describes() -> None:
    orders = Orders(
        250_000, True, dirty_pages=7, anywhere=True, working_set=40 << 20, filled=16 << 20, masked_loops=99,
        set_timebase=0x1234_5678_9ABC_DEF0,
    )  # fmt: skip
    assert dict(orders.words()) == {
        0x3000: 0x4C4D4346, 0x3004: 250_000, 0x3008: 1 | 4 | 8 | 16 | 32 | 64, 0x300C: 1, 0x3010: 99,
        0x3014: 0x0200_0000, 0x3018: 0x1234_5678, 0x301C: 0x9ABC_DEF0, 0x3020: 7, 0x3024: 10_240,
    }  # fmt: skip


def test_with_nothing_asked_for_no_flag_is_set() -> None:
    assert Orders(1, drift_free=False).words()[2] == (0x3008, 0)


def test_it_is_ready_when_its_status_says_so() -> None:
    assert interrupts([0x4C4D4947, 12, 0x100000, 4096, 1, 77]) == 12
    assert interrupts([0x4C4D4947, 0, 0x100000, 4096, 0, 0]) is None  # it fills its memory
    assert interrupts([0, 0, 0, 0, 0, 0]) is None
    assert interrupts([]) is None


def ring_of(**slots: tuple[int, ...]) -> bytes:
    ring = bytearray(4096 * 32)
    for slot, words in slots.items():
        struct.pack_into(">8I", ring, int(slot[1:]) * 32, *words)
    return bytes(ring)


def test_its_records_are_read_in_order_with_decr_signed() -> None:
    ring = ring_of(s0=(0, 1, 2, 0xFFFFFFFE, 100, 3, 9, 0), s1=(1, 0, 7, 5, 6, 0, 10, 0))
    assert list(records(2, ring)) == [Record(0, (1 << 32) + 2, -2, 100, 3, 9), Record(1, 7, 5, 6, 0, 10)]


def test_of_more_records_than_the_ring_holds_the_last_are_read() -> None:
    ring = ring_of(s0=(4096, 0, 8, 0, 0, 0, 0, 0), s1=(1, 0, 7, 0, 0, 0, 0, 0))
    found = list(records(4097, ring))
    assert (len(found), found[0].seq, found[-1].seq) == (4096, 1, 4096)


def test_a_ring_that_was_not_read_whole_is_refused() -> None:
    with pytest.raises(ProtocolError, match="131071 bytes, not 131072"):
        list(records(1, bytes(4096 * 32 - 1)))


@pytest.mark.skipif(shutil.which("powerpc-linux-gnu-as") is None, reason="needs Debian's binutils-powerpc-linux-gnu")
def test_the_images_that_ship_are_those_of_the_source_that_ships(tmp_path: Path) -> None:
    for name in ("guest.S", "build.sh"):
        shutil.copy(SOURCE / name, tmp_path)
    subprocess.run(["sh", "build.sh"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    for machine in ("g3beige", "mac99", "pseries"):
        shipped = image(machine)
        assert shipped.read_bytes() == (tmp_path / shipped.name).read_bytes()
