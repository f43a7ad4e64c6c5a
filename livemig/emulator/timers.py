"""From a configuration to the timers of a CPU, and to the guests that use more of them than the decrementer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livemig.config.model import Config
from livemig.timers.book3s import Book3S
from livemig.timers.decrementer import DecrementerModel, Reset
from livemig.timers.facility import TimerFacility
from livemig.timers.ticks import NS_PER_S

if TYPE_CHECKING:
    from livemig.guests.embedded import Embedded
    from livemig.timers.booke import BookE
    from livemig.timers.ppc40x import Ppc40x


def facility(config: Config) -> TimerFacility:
    """The timers of every CPU."""
    machine = config.machine
    if machine.model == "ppc405":
        return _ppc40x(config)
    if machine.model == "e500":
        return _booke(config)
    wraps = machine.wrap == "acts"
    lag, small = 1 if machine.underflow_at == "minus-one" else 0, machine.small_values == "immediate"
    decrementer = DecrementerModel(
        machine.decrementer_bits, machine.trigger == "level", small, lag, Reset(machine.reset_decrementer), wraps
    )
    if not machine.hdecr_bits:
        return Book3S(decrementer)
    hdecr = DecrementerModel(machine.hdecr_bits, machine.hdecr_trigger == "level", small, lag, Reset.ZERO, wraps)
    return Book3S(decrementer, hdecr, machine.hdecr_in_nap == "discarded")


def _ppc40x(config: Config) -> Ppc40x:
    from livemig.timers.ppc40x import Ppc40x

    switches = config.machine.ppc40x.model_dump()
    rounds_down = switches.pop("reload_rounds_down")
    return Ppc40x(**switches, reload_rounds_down_at=config.machine.timebase_hz if rounds_down else 0)


def _booke(config: Config) -> BookE:
    from livemig.timers.booke import BookE, Guard
    from livemig.timers.fixed_interval import FIT_440, WATCHDOG_440

    switches = config.machine.booke.model_dump()
    guard, intervals, least_ns = (switches.pop(key) for key in ("guard", "intervals", "least_interval"))
    fit_bits, watchdog_bits = (FIT_440, WATCHDOG_440) if intervals == "440" else ((), ())
    least = -(-least_ns * config.machine.timebase_hz // NS_PER_S)
    return BookE(**switches, fit_bits=fit_bits, watchdog_bits=watchdog_bits, guard=Guard(guard), least=least)


def embedded(config: Config, arm_ticks: int, handler_ticks: int, boot_ticks: int) -> Embedded:
    """Firmware that uses PIT or BookE decrementer, FIT and watchdog."""
    from livemig.guests.embedded import Embedded, Firmware
    from livemig.timers.tcr import choosing, resetting

    hz, firmware = config.machine.timebase_hz, config.guest.embedded
    timers = facility(config)

    def ticks(ns: int) -> int:
        return -(-ns * hz // NS_PER_S)

    fit_bits, watchdog_bits = getattr(timers, "fit_bits", ()), getattr(timers, "watchdog_bits", ())
    periods = choosing(firmware.fit_bit, fit_bits, firmware.watchdog_bit, watchdog_bits)
    return Embedded(
        Firmware(
            main=timers.main.name,
            period=ticks(firmware.period),
            first=ticks(firmware.first),
            tcr=periods | resetting(firmware.watchdog_reset),
            auto_reload=firmware.auto_reload,
            fit=firmware.fit,
            start_first=firmware.order == "start-first",
            pet_every=firmware.pet_every,
            pets_for=ticks(firmware.pets_for),
            bark=firmware.bark,
        ),
        arm_ticks,
        handler_ticks,
        boot_ticks,
    )
