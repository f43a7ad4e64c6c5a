"""Failures that are the same: by what failed first, under which strategy, in which state of the protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from livemig.stress.trial import Signature, Trial

MOST_NAMED: Final = 1000
"""Failures of one group whose numbers are at hand; the results have all."""


@dataclass(slots=True)
class Group:
    """All failures of one signature. ``smallest``: the one with the fewest settings, the first of those; ``numbers``:
    of the first ones, in order; ``checks``: how often each check failed among them."""

    signature: Signature
    smallest: Trial
    numbers: list[int] = field(default_factory=list)
    count: int = 0
    checks: Counter[str] = field(default_factory=Counter)

    @property
    def first(self) -> int:
        """The number of the first."""
        return self.numbers[0]

    def add(self, trial: Trial) -> None:
        """One more."""
        self.count += 1
        self.checks.update(trial.failed)
        if len(self.numbers) < MOST_NAMED:
            self.numbers.append(trial.number)
        if len(trial.settings) < len(self.smallest.settings):
            self.smallest = trial


def grouped(trials: Iterable[Trial]) -> list[Group]:
    """The failures among ``trials``, which come by their numbers, by signature, the most frequent first."""
    groups: dict[Signature, Group] = {}
    for trial in trials:
        if (signature := trial.signature) is not None:
            groups.setdefault(signature, Group(signature, trial)).add(trial)
    return sorted(groups.values(), key=lambda group: (-group.count, group.signature))
