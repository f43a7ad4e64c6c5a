"""Both engines on the same scenario, and where they differ: the model's word for what QEMU restores, beside QEMU's own.

The two cannot stop their guests at the same tick. So the model is asked what a migration makes of the TB and DECR at
which *QEMU* stood, by :func:`livemig.launch.prediction.restored`; the scenario is run by the model as well, for the
verdict that it comes to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from livemig.config.model import Config
from livemig.emulator import build
from livemig.errors import LivemigError
from livemig.launch import run_directory
from livemig.launch.prediction import AtStop, CpuAtStop, CpuRestored, restored
from livemig.launch.qemu.binary import Binary
from livemig.launch.qemu.pair import TOO_SLOW
from livemig.launch.qemu.registers import Registers
from livemig.launch.qemu.rules import strategy
from livemig.launch.qemu.scenario import LOGS, QemuRun, run_qemu
from livemig.launch.qemu_versions import crossing
from livemig.timers.ticks import MASK64, sign_extend, ticks_to_ns

if TYPE_CHECKING:
    from livemig.analysis.result import Result

_TRIES: Final = 3
_TB_STORE: Final = re.compile(rb":ppc_tb_store tb 0x[0-9a-f]{16} offset 0x([0-9a-f]{8,16})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one CPU: TB and DECR at QEMU's stop, as QEMU restored them, and as the model says."""

    cpu: int
    stopped: Registers
    restored: Registers
    model: CpuRestored

    @property
    def tb(self) -> int:
        """QEMU's less the model's, in ticks."""
        return sign_extend(self.restored.tb - self.model.tb, 64)

    @property
    def decr(self) -> int:
        """QEMU's less the model's, in ticks."""
        return sign_extend(self.restored.decr - self.model.decr, 32)


@dataclass(frozen=True, slots=True)
class Checked:
    """One blackout. ``qemu``, ``model``: how either engine's run was judged."""

    downtime_ns: int
    blackout_ns: int
    differences: tuple[Difference, ...]
    qemu: Result
    model: Result
    strategy: str

    @property
    def agrees(self) -> bool:
        """To the tick, on every CPU."""
        return all(each.tb == each.decr == 0 for each in self.differences)

    def as_dict(self) -> dict[str, Any]:
        return {
            "downtime_ns": self.downtime_ns,
            "blackout_ns": self.blackout_ns,
            "strategy": self.strategy,
            "cpus": [
                {
                    "cpu": each.cpu,
                    "tb_at_stop": each.stopped.tb,
                    "decr_at_stop": each.stopped.decr,
                    "tb_restored": each.restored.tb,
                    "decr_restored": each.restored.decr,
                    "tb_off_ticks": each.tb,
                    "decr_off_ticks": each.decr,
                }
                for each in self.differences
            ],
            "qemu": self.qemu.as_dict(),
            "model": self.model.as_dict(),
        }


def crosscheck(
    config: Config,
    config_file: str,
    downtimes_ns: Sequence[int],
    out: Path | None,
    announce: Callable[[str], None] = lambda what: None,
) -> Iterator[Checked]:
    """Run ``config`` on both engines once for each of ``downtimes_ns``.

    Raises:
        LivemigError: one of the engines could not run it, or a guest did not cross.
    """
    directory = run_directory.create(out, f"{Path(config_file).stem}-crosscheck")
    for number, downtime in enumerate(downtimes_ns):
        announce(f"downtime {downtime / 1e6:g} ms …")
        here = directory / f"{number:02}"
        here.mkdir()
        asked = _with_downtime(config, downtime)
        asked, run, logs = _on_qemu(asked, config_file, here)
        yield _checked(asked, config_file, downtime, run, here, logs)


def _on_qemu(config: Config, config_file: str, here: Path) -> tuple[Config, QemuRun, Path]:
    """The scenario, the run and its directory. Where a busy host did not let the guest cross within ``run.duration``
    it is run again, for twice as long."""
    for number in range(1, _TRIES + 1):
        out = here / ("qemu" if number == 1 else f"qemu-{number}")
        run = run_qemu(config, config_file, out)
        if run.crossing.reason != TOO_SLOW or number == _TRIES:
            break
        longer = config.run.model_copy(update={"duration": 2 * config.run.duration})
        config = config.model_copy(update={"run": longer})
    return config, run, out


def _with_downtime(config: Config, downtime_ns: int) -> Config:
    """The scenario with another blackout, and as much time after it."""
    migration = config.migration.model_copy(update={"downtime": downtime_ns})
    duration = config.run.duration + downtime_ns - config.migration.downtime
    run = config.run.model_copy(update={"duration": max(duration, config.migration.start + downtime_ns + 1)})
    return config.model_copy(update={"migration": migration, "run": run})


def _checked(
    config: Config, config_file: str, downtime_ns: int, run: QemuRun, here: Path, logs: Path
) -> Checked:
    crossing = run.crossing
    if crossing.stopped is None or crossing.restored is None:
        raise LivemigError(f"{logs}: the guest did not cross: {crossing.status} {crossing.reason}".rstrip())
    predicted = foreseen(config, run, last_offset(logs / LOGS / "source.log"))
    differences = tuple(
        Difference(cpu, *three)
        for cpu, three in enumerate(zip(crossing.stopped, crossing.restored, predicted, strict=True))
    )
    blackout_ns = crossing.resume_ns - crossing.stop_ns
    model = _model(config, config_file, run, here / "model")
    name = strategy(config, run.source, run.destination)
    return Checked(downtime_ns, blackout_ns, differences, run.result, model, name)


def foreseen(config: Config, run: QemuRun, offset: int) -> tuple[CpuRestored, ...]:
    """What the model makes of QEMU's stop. ``offset``: of TB to the ticks of the virtual clock."""
    stopped, hz = run.crossing.stopped or [], run.timebase_hz
    rules, sends_decr = crossing(run.source.version, run.destination.version)
    sent = [each.decr if sends_decr else 0 for each in stopped]
    cpus = tuple(
        CpuAtStop(each.tb, decr, each.interrupt == "raised", each.decr >= 0)
        for each, decr in zip(stopped, sent, strict=True)
    )
    source, destination = (_spec(config, binary) for binary in (run.source, run.destination))
    at_stop = AtStop(ticks_to_ns(hz, stopped[0].tb - offset & MASK64), cpus)
    blackout_ns = run.crossing.resume_ns - run.crossing.stop_ns
    return restored(at_stop, source, destination, rules, blackout_ns)


def last_offset(log: Path) -> int:
    """By how much TB is ahead of the virtual clock's ticks, by the last write to TB that QEMU traced in ``log``."""
    offset = 0
    with log.open("rb") as file:
        for line in file:
            if found := _TB_STORE.search(line):
                offset = int(found[1], 16)
    return offset


def _spec(config: Config, binary: Binary) -> Any:
    machine = config.machine.model_copy(update=_clockwork(config, binary))
    return build.spec(config.model_copy(update={"machine": machine}))


def _clockwork(config: Config, binary: Binary) -> dict[str, Any]:
    """The keys of [machine] that hang on the release."""
    model = config.machine.model
    return {"timebase_hz": binary.timebase_hz(model), "reset_decrementer": binary.reset_decrementer(model)}


def _model(config: Config, config_file: str, run: QemuRun, out: Path) -> Result:
    """The same scenario on livemig's own emulator, by the rule of the QEMU that took the guest over."""
    from livemig.launch.scenario import run_scenario

    engine = config.engine.model_copy(update={"kind": "emulator"})
    machine = config.machine.model_copy(update=_clockwork(config, run.source))
    name = strategy(config, run.source, run.destination)
    migration = config.migration.model_copy(update={"strategy": name})
    changed = {"engine": engine, "machine": machine, "migration": migration}
    return run_scenario(config.model_copy(update=changed), config_file, out)
