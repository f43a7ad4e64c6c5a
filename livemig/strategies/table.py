"""All strategies, by the names that configs, output and inference use."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.strategies.absolute import Absolute, AbsoluteFrozenTb
from livemig.strategies.none import Nothing
from livemig.strategies.strategy import Strategy
from livemig.strategies.tb_offset import TbOffset

STRATEGIES: Mapping[str, Strategy] = {s.name: s for s in (Nothing(), Absolute(), AbsoluteFrozenTb(), TbOffset())}
