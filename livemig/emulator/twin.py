"""The twin: the same guest, same seed, never migrated. What should have happened."""

from __future__ import annotations

from pathlib import Path

from livemig.config.model import Config
from livemig.emulator import build
from livemig.events.log import EventLog
from livemig.events.schema import SOURCE
from livemig.machine.runstate import RunState

_STEP_NS = 1_000_000_000


def run_twin(config: Config, path: Path) -> None:
    """Run it to the scenario's end, in virtual time, and write its log to ``path``.

    Raises:
        OutputError: it cannot be written.
    """
    log = EventLog(path, SOURCE)
    try:
        machine = build.machine(config, SOURCE)
        machine.boot(0)
        log.block(machine.drain(0))
        log.event(0, "machine_resumed", **machine.facts(0), ram_digest=None)
        end = config.run.duration
        now = 0
        while now < end:
            reset_ns = machine.reset_due_ns()
            now = min(now + _STEP_NS, end, end if reset_ns is None else reset_ns)
            for cpu in machine.cpus:  # not its memory, which no timer depends on
                machine.run_cpu(cpu, now)
            log.block(machine.drain(now))
            if (asked := machine.reset_asked()) is not None:
                log.event(now, "machine_reset", **asked)
                machine.reset(str(asked["kind"]))
        machine.stop(end, RunState.SHUTDOWN)
        log.event(end, "run_ended", reason="duration")
    finally:
        log.close()
