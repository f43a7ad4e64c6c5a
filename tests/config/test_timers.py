"""Which guests and keys go with which timers: one clear line where they do not."""

from __future__ import annotations

import pytest

from livemig.config.load import validated
from livemig.errors import ConfigError


def refused(machine: dict[str, object], **guest: object) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        validated({"machine": machine, "guest": guest}, "x.toml")
    return error.value


def accepted(machine: dict[str, object], **guest: object) -> None:
    validated({"machine": machine, "guest": guest}, "x.toml")


@pytest.mark.parametrize("model", ["ppc405", "e500"])
@pytest.mark.parametrize("kind", ["darwin", "linux", "periodic", "hypervisor"])
def test_a_guest_that_knows_only_decrementers_does_not_run_on_embedded_timers(model: str, kind: str) -> None:
    error = refused({"model": model}, kind=kind)
    assert (error.key, error.allowed) == ("guest.kind", "guest.kind = 'embedded'")


def test_firmware_needs_embedded_timers_and_a_hypervisor_its_own_decrementer() -> None:
    assert refused({"model": "pseries"}, kind="embedded").allowed == "machine.model one of ppc405, e500"
    error = refused({"model": "pseries"}, kind="hypervisor")
    assert error.problem == "a pseries has no hypervisor decrementer"
    accepted({"model": "pseries", "hdecr_bits": 56}, kind="hypervisor")


def test_the_bits_that_fit_and_watchdog_wait_for_are_those_that_tcr_can_choose() -> None:
    firmware = {"fit_bit": 13, "watchdog_bit": 20}
    error = refused({"model": "ppc405"}, kind="embedded", embedded=firmware)
    assert (error.key, error.allowed) == ("guest.embedded.fit_bit", "8, 12, 16, 20")
    accepted({"model": "e500"}, kind="embedded", embedded=firmware)
    error = refused({"model": "e500", "booke": {"intervals": "440"}}, kind="embedded", embedded=firmware)
    assert (error.key, error.allowed) == ("guest.embedded.fit_bit", "12, 16, 20, 24")
    error = refused({"model": "ppc405"}, kind="embedded", embedded={"watchdog_bit": 17})
    assert (error.key, error.allowed) == ("guest.embedded.watchdog_bit", "16, 20, 24, 28")


def test_what_a_timer_cannot_hold_is_refused() -> None:
    """2^32 ticks of 400 MHz are 10.7 s."""
    accepted({"model": "e500"}, kind="embedded", embedded={"period": "10.7s"})
    error = refused({"model": "e500"}, kind="embedded", embedded={"period": "10.8s"})
    assert (error.key, error.allowed) == ("guest.embedded.period", "less than 2^32 ticks")
    machine = {"model": "powernv", "hdecr_bits": 32}
    error = refused(machine, kind="hypervisor", hypervisor={"slice": "4.3s"})
    assert (error.key, error.allowed) == ("guest.hypervisor.slice", "less than 2^31 ticks")


def test_keys_of_a_decrementer_that_the_model_has_not_got_are_refused() -> None:
    error = refused({"model": "ppc405", "trigger": "level"}, kind="embedded")
    assert (error.key, error.problem) == ("machine.trigger", "a ppc405 has no such decrementer")
