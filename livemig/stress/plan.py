"""What a campaign is to run: numbers, and for each number a scenario. Small, and the same in every process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livemig.config.model import Config
from livemig.errors import ConfigError
from livemig.stress.healing import healed
from livemig.stress.scenario import Scenario, Settings
from livemig.stress.space import Feature, draw, features_for
from livemig.stress.trial import Trial, try_out

_DRAWS = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """Args: ``file``, ``base``: the configuration that all start from; seed: of the draws; strategies: by turns;
    faults: names of features, as ``--faults`` has them; cells: of a grid, by turns, or none. heal: faults end,
    and then the migration must."""

    file: str
    base: Mapping[str, Any]
    seed: int
    strategies: tuple[str, ...]
    faults: tuple[str, ...]
    cells: tuple[Settings, ...] = ()
    heal: bool = False

    def scenario(self, number: int) -> Scenario:
        """The scenario of a run."""
        return self.drawn(number)[0]

    def drawn(self, number: int) -> tuple[Scenario, Config]:
        """The ``number``-th, from 0. Strategies take turns, then cells, so that any prefix is a fair sample; the draw
        of the same turn is the same under every strategy."""
        turn, which = divmod(number, len(self.strategies))
        strategy = self.strategies[which]
        fixed: dict[str, Any] = {"migration.strategy": strategy}
        if self.cells:
            turn, which = divmod(turn, len(self.cells))
            fixed |= self.cells[which]
        features = features_for(strategy, self.faults)
        return self._consistent(features, turn, fixed, number)

    def _consistent(
        self, features: Sequence[Feature], turn: int, fixed: Settings, number: int
    ) -> tuple[Scenario, Config]:
        """Keys that are each right may be wrong together; then the next draw is taken."""
        for attempt_number in range(_DRAWS):
            drawn = draw(features, self.seed, turn + (attempt_number << 40))
            settings = {**drawn, **fixed}
            scenario = Scenario(self.base, healed(settings) if self.heal else settings, number)
            try:
                return scenario, scenario.config(self.file)
            except ConfigError as error:
                problem = error
        raise problem

    def attempt(self, numbers: Sequence[int], keep: Path | None = None) -> list[Trial]:
        """Run them, in order; what a worker does. ``keep``: where their logs go, a directory each."""
        return [
            try_out(*self.drawn(number), self.file, None if keep is None else keep / str(number))
            for number in numbers
        ]
