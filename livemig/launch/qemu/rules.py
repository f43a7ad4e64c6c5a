"""By which of the model's rules a release of QEMU restores TB and DECR, under TCG."""

from __future__ import annotations

from livemig.config.model import Config
from livemig.launch.prediction import Rules
from livemig.launch.qemu.binary import Binary


def rules(destination: Binary) -> Rules:
    """TB is made of the migrated virtual clock in every release, and what the guest wrote into it is lost."""
    return Rules(decr="pending-dropped" if destination.migrates_decr else "none", tb="tb-write-dropped")


def strategy(config: Config, source: Binary, destination: Binary) -> str:
    """The one strategy that shows what matters most in this scenario, for a run of the model beside QEMU's."""
    if not destination.migrates_decr:
        return "none"
    if config.guest.sets_timebase:
        return "tb-write-dropped"
    model = config.machine.model
    return "pending-dropped" if source.timebase_hz(model) == destination.timebase_hz(model) else "frequency-change"
