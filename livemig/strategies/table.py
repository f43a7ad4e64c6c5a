"""All strategies, by the names that configs, output and inference use."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.strategies.absolute import Absolute, AbsoluteFrozenTb
from livemig.strategies.none import Nothing
from livemig.strategies.pending_dropped import PendingDropped
from livemig.strategies.strategy import Strategy
from livemig.strategies.tb_offset import TbOffset
from livemig.strategies.virtual_clock import FrequencyChange, HostTicks, TbWriteDropped

STRATEGIES: Mapping[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Nothing(),
        Absolute(),
        AbsoluteFrozenTb(),
        TbOffset(),
        HostTicks(),
        PendingDropped(),
        TbWriteDropped(),
        FrequencyChange(),
    )
}
