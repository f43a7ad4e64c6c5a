"""A guest of 1 GiB under a table of dirty rates: passes, total time, downtime and bytes beside closed forms.

In virtual time: the figures are the model's, the same on any machine. `peer` is the closed form of the textbook, each
pass sent to its end (see `tests/migration/geometric.py`); `early look` is that of QEMU's rule, whose downtime is the
limit; `whole pages and chunks` is that rule without real numbers, step by step. Then the convergence policies side by
side, on a guest that writes faster than the link takes it.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from typing import Any

from benchmarks.figure import Figure
from livemig.config.load import validated
from livemig.config.model import Config
from livemig.emulator import build
from livemig.events.schema import SOURCE
from livemig.migration.frames import Frame
from livemig.migration.side import wire_bytes
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.strategies.table import STRATEGIES

_LINK = 125_000_000
_PAGE = 4096
_CHUNK = 256
"""Pages sent between two looks at what is left."""
_HEADER = wire_bytes({"runs": [[0, _CHUNK]], "zero": []}, 0)
_S = 1_000_000_000
RATIOS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
POLICIES: dict[str, dict[str, Any]] = {
    "static 300 ms": {},
    "stepped (Nova)": {"convergence": "stepped", "downtime_limit": "500ms", "downtime_delay": "5s"},
    "ramp (KubeVirt)": {"convergence": "ramp"},
    "ramp, stall": {"convergence": "ramp", "ramp_limit": "200ms", "stall_passes": 3},
    "auto-converge": {"auto_converge": True},
    "dirty-limit": {"dirty_limit": True, "vcpu_dirty_limit": "80MiB/s"},
    "xbzrle, 1 GiB": {"xbzrle": True, "xbzrle_cache_size": "1GiB"},
}


@dataclass(frozen=True, slots=True)
class Course:
    """How a migration went: seconds, bytes."""

    passes: int
    downtime: float
    total: float
    sent: int


def scenario(mib: int, ratio: float, locality: str = "sequential", **migration: Any) -> Config:
    """A guest of so many MiB, all of it in use, on 1 Gbit/s."""
    memory = {"dirty_rate": f"{int(ratio * _LINK)}B/s", "locality": locality, "filled_percent": 100}
    return validated(
        {
            "run": {"duration": "1h"},
            "machine": {"ram": f"{mib}MiB"},
            "guest": {"kind": "periodic", "periodic": {"period": "1s"}, "memory": memory},
            "migration": {"start": "1s", **migration},
            "link": {"latency": "1us"},
        },
        "benchmarks",
    )


def _unheard(t_ns: int, event: str, /, **fields: Any) -> None:
    """Nobody reads the events here."""


def migrate(config: Config) -> Course:
    """The source alone, with a destination that says yes to everything at once."""
    machine = build.machine(config, SOURCE)
    parts = (build.host(config, SOURCE), build.link(config, SOURCE), build.settings(config))
    source = Source(machine, STRATEGIES["tb-offset"], *parts, _unheard)
    machine.boot(0)
    now = config.migration.start
    machine.run_to(now)
    source.start(now)
    digest = ""
    while not source.over:
        frames, source.outbox = source.outbox, []
        for frame in frames:
            answer = {"hello": "welcome", "snapshot": "loaded", "switchover": "resumed"}.get(frame.type)
            if answer is not None:
                digest = digest or (machine.ram.digest() if answer == "loaded" else "")
                now = frame.arrives_ns + config.link.latency
                machine.run_to(now)
                source.receive(now, Frame(answer, frame.arrives_ns, now, {"ram_digest": digest}))
        if source.due is not None:
            now = source.due
            machine.run_to(now)
            machine.drain(now)
            source.tick(now)
    if source.status is not Status.COMPLETED or source.stopped_ns is None:
        raise RuntimeError(f"the migration ended as {source.status}: {source.reason}")
    downtime, total = source.ended_ns - source.stopped_ns, source.ended_ns - source.started_ns
    course = Course(source.precopy.passes, downtime / _S, total / _S, source.precopy.bytes)
    machine.ram.close()
    return course


def whole_passes(ram: int, ratio: float, limit: float, most: int = 30) -> Course:
    """The textbook: pass k + 1 has ram × ratio^k bytes; at most ``most`` of them while the guest runs."""
    fits = math.ceil(math.log(_LINK * limit / ram) / math.log(ratio)) if ratio < 1 else most
    running = min(max(fits, 1), most)
    sent = ram * sum(ratio**k for k in range(running + 1))
    return Course(running + 1, ram * ratio**running / _LINK, sent / _LINK, int(sent))


def whole_chunks(ram: int, ratio: float, limit: float, most: int = 30) -> Course:
    """The same rule in whole pages, and as it is looked at: after each chunk, which has a header, whether what is left
    of the pass fits into the limit; it then goes with what was written meanwhile. The snapshot takes no time."""
    written, on_the_line = 0, 0
    left, sent, passes = ram // _PAGE, 0, 1
    while True:
        chunk = min(_CHUNK, left)
        left, sent, on_the_line = left - chunk, sent + chunk, on_the_line + chunk * _PAGE + _HEADER
        if left * _PAGE > limit * _LINK:
            continue
        now = int(on_the_line * ratio) // _PAGE
        left, written, passes = left + now - written, now, passes + 1
        if left * _PAGE <= limit * _LINK or passes > most:
            last = left * _PAGE + -(-left // _CHUNK) * _HEADER
            return Course(passes, last / _LINK, (on_the_line + last) / _LINK, (sent + left) * _PAGE)


def main(argv: list[str] | None = None) -> list[Figure]:
    """Measure and print; gives the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks convergence")
    parser.add_argument("--mib", type=int, default=1024, help="RAM")
    options = parser.parse_args(argv)
    figures: list[Figure] = []

    def show(name: str, value: float, unit: str, peer: str, theirs: float) -> None:
        ratio = value / theirs if theirs else 0.0
        figures.append(Figure(name, round(value, 4), unit, peer, round(theirs, 4), round(ratio, 3)))
        figures[-1].show()

    for limit in ("1ms", "300ms"):
        for ratio in RATIOS:
            seconds = int(limit.removesuffix("ms")) / 1000
            got, model = migrate(scenario(options.mib, ratio, downtime_limit=limit)), whole_passes(
                options.mib << 20, ratio, seconds
            )
            name = f"convergence: dirty/link {ratio}, limit {limit}"
            show(f"{name}, passes", got.passes, "passes", "whole passes", model.passes)
            show(f"{name}, total", got.total, "s", "whole passes", model.total)
            show(f"{name}, downtime", got.downtime, "s", "whole passes", model.downtime)
            show(f"{name}, sent", got.sent / (1 << 20), "MiB", "whole passes", model.sent / (1 << 20))
            exact = whole_chunks(options.mib << 20, ratio, seconds)
            show(f"{name}, passes", got.passes, "passes", "whole pages and chunks", exact.passes)
            show(f"{name}, total", got.total, "s", "whole pages and chunks", exact.total)
            show(f"{name}, downtime", got.downtime, "s", "whole pages and chunks", exact.downtime)
            if seconds > 0.01 and got.passes <= 30:
                show(f"{name}, downtime", got.downtime, "s", "early look: the limit", seconds)
    base: Course | None = None
    for policy, settings in POLICIES.items():
        got = migrate(scenario(options.mib // 4, 1.5, "uniform", **settings))
        base = base or got
        name = f"convergence: {policy}, dirty/link 1.5"
        show(f"{name}, total", got.total, "s", "static 300 ms", base.total)
        show(f"{name}, downtime", got.downtime, "s", "static 300 ms", base.downtime)
        show(f"{name}, sent", got.sent / (1 << 20), "MiB", "static 300 ms", base.sent / (1 << 20))
    return figures


if __name__ == "__main__":
    main()
