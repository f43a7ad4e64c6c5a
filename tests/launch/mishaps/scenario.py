"""One CPU whose deadlines are 10 µs after every 10 ms, migrated from 100 ms on, in virtual time.

It stops at 104.41632 ms: 0.201024 for `hello` and `welcome`, 4.215296 for 1 MiB. It is to go on 30 ms later.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from livemig.launch.scenario import run_here
from livemig.stress.scenario import Scenario

US, MS = 1_000, 1_000_000
STOPS, GOES_ON = 104_416_320, 134_416_320
TRIP = 100 * US
"""Of the link, without what the frame takes."""

BASE = {
    "run": {"duration": "400ms"},
    "machine": {"ram": "1MiB"},
    "guest": {"kind": "periodic", "periodic": {"period": "10ms"}, "memory": {"dirty_rate": "0B/s"}},
    "migration": {"start": "100ms", "downtime": "30ms"},
}


@dataclass(frozen=True)
class Seen:
    """Args: logs: by side. verdict, failed: of the judge."""

    logs: dict[str, list[dict[str, Any]]]
    verdict: str
    failed: list[str]
    status: str
    owner: str

    def events(self, side: str, *names: str) -> list[dict[str, Any]]:
        return [event for event in self.logs[side] if event["event"] in names]

    def times(self, side: str, *names: str) -> list[int]:
        return [event["t_ns"] for event in self.events(side, *names)]


def run(tmp_path: Path, **settings: object) -> Seen:
    """``fault.pause.at`` is given as ``pause__at``, keys of other tables whole: ``guest__masked_for``."""
    keys = {name.replace("__", "."): value for name, value in settings.items()}
    whole = {key if key.split(".")[0] in BASE or key.startswith("host.") else f"fault.{key}": keys[key] for key in keys}
    result = run_here(Scenario(BASE, whole).config("-"), "-", tmp_path)  # type: ignore[arg-type]
    logs = {
        side: [orjson.loads(line) for line in (tmp_path / f"{side}.jsonl").read_bytes().splitlines()]
        for side in ("source", "destination")
    }
    failed = [name for name, check in result.checks.items() if check.word == "invalid"]
    return Seen(logs, result.verdict, failed, result.migration.status, result.migration.owner)


def tb_error(seen: Seen) -> int:
    """Ticks of 16.6 MHz by which the restored TB is too high."""
    (restored,) = seen.events("destination", "state_restored")
    return int(restored["tb_after"] - restored["t_ns"] * 166 // 10_000)
