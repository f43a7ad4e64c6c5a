"""What is read from QEMU's monitor. The texts are those of QEMU 7.2.22 and 10.0.2."""

from __future__ import annotations

import pytest

from livemig.errors import ProtocolError
from livemig.launch.qemu.registers import Registers, every_cpu, parse_registers, parse_words

ONE = (
    "CPU#0\r\n"
    "NIP fff01174   LR 00000000 CTR 0000018b XER 00000000 CPU#0\r\n"
    "MSR 00008040 HID0 00000000  HF 6c000002 iidx 3 didx 3\r\n"
    "TB 00000002 4294967295 DECR 4294967294\r\n"
    "GPR00 0000000000000000 0000000000000000 0000000000000000 0000000000003000\r\n"
)
OTHER = ONE.replace("CPU#0", "CPU#1").replace("00008040", "00000040").replace("DECR 4294967294", "DECR 160401")


def test_timebase_and_decrementer_are_decimal_and_the_rest_is_hexadecimal() -> None:
    assert parse_registers(ONE) == Registers((2 << 32) + 0xFFFFFFFF, -2, 0xFFF01174, 0x8040)


def test_every_cpu_is_read_though_its_number_comes_twice() -> None:
    assert [(cpu.decr, cpu.masked) for cpu in every_cpu("\r\n" + ONE + "\r\n" + OTHER)] == [(-2, False), (160401, True)]


@pytest.mark.parametrize("text", ["", "CPU#0\nRAX=0\n", ONE.replace("DECR", "SPRG")])
def test_other_registers_are_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="not shown"):
        every_cpu(text)


@pytest.mark.parametrize(
    ("nip", "decr", "state"),
    [
        (0xFFF01174, 5, "none"), (0xFFF01800, 5, "none"),  # in the handler, DECR written already
        (0xFFF01174, -1, "raised"), (0xFFF00900, -1, "taken"), (0x900, -1, "taken"), (0x1804, -7, "taken"),
    ],
)  # fmt: skip
def test_the_place_in_the_guest_tells_how_far_its_interrupt_is(nip: int, decr: int, state: str) -> None:
    assert Registers(0, decr, nip, 0).interrupt == state


def test_words_of_memory() -> None:
    text = "0000000000004000: 0x4c4d4947 0x0000001b\r\n0000000000004010: 0x00000001\r\n"
    assert parse_words(text) == [0x4C4D4947, 0x1B, 1]
