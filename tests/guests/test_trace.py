"""The replayed guest against the real log it replays."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemig.errors import InputError
from livemig.events.qemu_trace import decrementer_stores
from livemig.guests.trace import Arm, TraceGuest, arms_of
from livemig.machine.cpu import Cpu
from livemig.timers.book3s import Book3S
from livemig.timers.decrementer import DecrementerModel
from livemig.timers.timebase import Timebase

LOG = Path(__file__).parents[2] / "configs/traces/linux-pseries-7.2-live.source.log.gz"


def test_by_hand_three_writes_of_the_log() -> None:
    """From the capture: an interrupt answered 147,373 ticks late, then 0x7fffffff, then the next event."""
    arms = arms_of([(0xFFFDC053, 0x1CF7F3), (0xFFDE1826, 0x7FFFFFFF), (0x7FFF1234, 0x1B9F13)])
    assert arms == [
        Arm(True, 0x100000000 - 0xFFFDC053, 0x1CF7F3),
        Arm(True, 0x100000000 - 0xFFDE1826, 0x7FFFFFFF),
        Arm(False, 0x7FFFFFFF - 0x7FFF1234, 0x1B9F13),
    ]


def test_the_shipped_log_has_258_writes_of_two_cpus() -> None:
    stores = decrementer_stores(LOG)
    assert len(stores) == 2
    assert sum(map(len, stores)) == 258  # counted in the log: grep -c ppc_decr_store


@pytest.mark.parametrize("cpu", [0, 1])
def test_every_write_of_the_replay_finds_the_decr_that_the_real_guest_found(cpu: int) -> None:
    """The old value that QEMU logged at each write is what DECR reads in the model at that write, to the tick."""
    stores = decrementer_stores(LOG)[cpu]
    found: list[int] = []

    class Watching(TraceGuest):
        def step(self, tb: int, decr: int) -> tuple[int, int]:
            found.append(decr & 0xFFFFFFFF)
            return super().step(tb, decr)

    facility = Book3S(DecrementerModel(level=True))
    machine = Cpu(0, facility, Timebase(0, 0, 512_000_000), Watching(arms_of(stores), False, 0))
    machine.power_on(0)
    machine.boot()
    machine.run(3 * 512_000_000)
    real = [old for old, _ in stores]
    assert len(found) == len(real)
    assert found[1:] == real[1:]  # what DECR was before the log begins is not known


def test_a_file_without_a_decrementer_write_is_refused_by_name(tmp_path: Path) -> None:
    empty = tmp_path / "empty.log"
    empty.write_text("qemu: warning: nothing\n")
    with pytest.raises(InputError, match=r"empty\.log: no ppc_decr_store"):
        decrementer_stores(empty)
    with pytest.raises(InputError, match=r"absent\.log: No such file"):
        decrementer_stores(tmp_path / "absent.log")
