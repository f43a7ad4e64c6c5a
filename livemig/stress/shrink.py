"""From a failure to the smallest scenario that still shows it.

Internal shrinking over what was drawn, not over the log: drop settings, in halves and then one by one; take smaller
and rounder values; shorten the run. A candidate counts if it fails with the same signature. Every candidate is run,
so the result is a failure that was seen, and the same every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from livemig.config.units import TIME
from livemig.errors import ConfigError
from livemig.stress.scenario import Scenario, Settings, Value
from livemig.stress.trial import Signature, Trial, attempt

_SIMPLER: Final[Mapping[str, tuple[Value, ...]]] = {
    "machine.cpus": (1, 2, 3),
    "machine.ram": ("1MiB", "2MiB", "4MiB"),
    "machine.model": ("g3beige", "mac99"),
    "guest.kind": ("periodic", "darwin"),
    "run.seed": (0, 1, 2, 3),
    "run.duration": ("100ms", "200ms", "500ms", "1s", "2s", "5s"),
}
"""Values that are simpler than any other, the simplest first; the base's keys are tried with these too."""

_KEPT: Final = ("migration.strategy", "machine.ram", "run.duration")
"""Not dropped: the first is what fails; without the others every candidate would take as long as a real run."""


@dataclass(slots=True)
class Shrinker:
    """Args: ``file``: for errors. budget: runs that may be spent. wanted: the signature to keep."""

    file: str
    wanted: Signature
    budget: int = 200
    run: Callable[[Scenario, str], Trial] = attempt
    spent: int = 0

    def shrink(self, scenario: Scenario) -> Scenario:
        """The smallest found. ``scenario`` itself must show the failure."""
        best = self._flat(scenario)
        while self.spent < self.budget:
            smaller = self._first(best, self._candidates(best))
            if smaller is None:
                break
            best = smaller
        return best

    def _flat(self, scenario: Scenario) -> Scenario:
        """The same with its base among the settings, so that what the file says can be dropped too."""
        flat = replace(scenario, base={}, settings=_leaves(scenario.tables()))
        return flat if self._fails(flat) else scenario

    def _first(self, best: Scenario, candidates: Iterator[Settings]) -> Scenario | None:
        for settings in candidates:
            if self.spent >= self.budget:
                return None
            smaller = replace(best, settings=settings)
            if self._fails(smaller):
                return smaller
        return None

    def _fails(self, scenario: Scenario) -> bool:
        try:
            scenario.config(self.file)
        except ConfigError:
            return False
        self.spent += 1
        return self.run(scenario, self.file).signature == self.wanted

    def _candidates(self, best: Scenario) -> Iterator[Settings]:
        settings = best.settings
        keys = [key for key in settings if key not in _KEPT]
        size = len(keys)
        while size:
            for first in range(0, len(keys), size):
                dropped = set(keys[first : first + size])
                yield {key: value for key, value in settings.items() if key not in dropped}
            size //= 2
        for key in sorted(settings, key=lambda key: key not in _SIMPLER):
            for value in _simpler(key, settings[key]):
                yield {**settings, key: value}


def _leaves(tables: Mapping[str, Any], name: str = "") -> dict[str, Value]:
    leaves: dict[str, Value] = {}
    for key, value in tables.items():
        dotted = f"{name}.{key}" if name else key
        leaves |= _leaves(value, dotted) if isinstance(value, Mapping) else {dotted: value}
    return leaves


def _simpler(key: str, value: Value) -> Iterator[Value]:
    """Values to try instead, the simplest first; none that is not simpler than ``value``."""
    if key in _SIMPLER:
        simpler = _SIMPLER[key]
        yield from simpler[: simpler.index(value)] if value in simpler else simpler
    elif isinstance(value, str):
        try:
            number = TIME.parse(value)
        except ValueError:
            return
        yield from (TIME.format(each) for each in rounder(number))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from rounder(value)


def rounder(number: int) -> Iterator[int]:
    """0, then ``number`` to one significant digit, then to two, where those differ from it."""
    if number:
        yield 0
    for digits in (1, 2):
        scale = 10 ** max(len(str(abs(number))) - digits, 0)
        rounded = number // scale * scale
        if rounded not in (number, 0):
            yield rounded
