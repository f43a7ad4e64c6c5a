"""What a blackout trips in a real guest: the thresholds at which known systems complain, step in, or stop."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

_MS: Final = 1_000_000
_S: Final = 1_000_000_000

UNSERVED: Final = "unserved"
"""The longest that a CPU was not served, in guest time: TB's jump, or longer where its interrupt came later still."""
OFFSET: Final = "offset"
"""How far the guest's clock is from the world's at the end, either way."""


class Threshold(NamedTuple):
    """``limit_ns`` of ``quantity`` is borne, more is not. Default values; ``source`` says whose."""

    name: str
    limit_ns: int
    quantity: str
    source: str


THRESHOLDS: Final = (
    Threshold("NTP step", 128 * _MS, OFFSET, "ntpd, `tinker step` 0.128 s: the clock is stepped, not slewed"),
    Threshold("CockroachDB", 500 * _MS, OFFSET, "`cockroach start --max-offset` 500ms: the node ends"),
    Threshold("YugabyteDB", 500 * _MS, OFFSET, "`--max_clock_skew_usec` 500000: the server ends"),
    Threshold("Kerberos", 300 * _S, OFFSET, "krb5.conf, `clockskew` 300 s: tickets are refused"),
    Threshold("NTP panic", 1000 * _S, OFFSET, "ntpd, `tinker panic` 1000 s: ntpd exits"),
    Threshold("Linux soft lockup", 20 * _S, UNSERVED, "Linux, 2 × kernel.watchdog_thresh, which is 10 s"),
    Threshold("Linux RCU stall", 21 * _S, UNSERVED, "Linux, CONFIG_RCU_CPU_STALL_TIMEOUT 21 s"),
    Threshold("hardware watchdog", 60 * _S, UNSERVED, "Linux, drivers/watchdog/pseries-wdt.c, 60 s: reset"),
    Threshold("Linux hung task", 120 * _S, UNSERVED, "Linux, CONFIG_DEFAULT_HUNG_TASK_TIMEOUT 120 s"),
)


@dataclass(frozen=True, slots=True)
class Impact:
    """One threshold and this run. ``value_ns``: None where the log does not tell it."""

    name: str
    quantity: str
    threshold_ns: int
    value_ns: int | None
    tripped: bool
    source: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def impacts(unserved_ns: int | None, offset_ns: int | None) -> list[Impact]:
    """Every threshold, held against this run's quantities; None: not known, which trips nothing."""
    values = {UNSERVED: unserved_ns, OFFSET: None if offset_ns is None else abs(offset_ns)}
    return [
        Impact(name, quantity, limit, value, value is not None and value > limit, source)
        for name, limit, quantity, source in THRESHOLDS
        for value in (values[quantity],)
    ]
