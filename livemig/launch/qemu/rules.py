"""By which one strategy a run of the model stands beside a run of QEMU."""

from __future__ import annotations

from livemig.config.model import Config
from livemig.launch.qemu.binary import Binary
from livemig.launch.qemu_versions import crossing


def strategy(config: Config, source: Binary, destination: Binary) -> str:
    """The one that shows what matters most in this scenario: QEMU has a rule for DECR and another for TB."""
    rules = crossing(source.version, destination.version).rules
    if rules.decr == "none" or config.guest.sets_timebase:
        return rules.decr if rules.decr == "none" else rules.tb
    model = config.machine.model
    return rules.decr if source.timebase_hz(model) == destination.timebase_hz(model) else "frequency-change"
