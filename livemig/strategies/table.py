"""All strategies, by the names that configs, output and inference use."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.strategies.absolute import Absolute, AbsoluteFrozenTb
from livemig.strategies.channel_clock import ChannelClock
from livemig.strategies.clamp import Clamped, NegativeDelta, QemuDeadClamp
from livemig.strategies.kvm import KvmRandomDec, KvmRawOffset, KvmTbu40
from livemig.strategies.none import Nothing
from livemig.strategies.order import CpuBeforeMachine, DeadlineBeforeClock, PerCpuTimebase
from livemig.strategies.pending_dropped import PendingDropped
from livemig.strategies.rounding import DoubleRead, RoundDown
from livemig.strategies.snapshot_tuple import SnapshotTuple
from livemig.strategies.strategy import Strategy
from livemig.strategies.tb_offset import TbOffset
from livemig.strategies.unsent import DecrOnly, LineNotRecomputed
from livemig.strategies.virtual_clock import FrequencyChange, HostTicks, TbWriteDropped

STRATEGIES: Mapping[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Nothing(),
        Absolute(),
        AbsoluteFrozenTb(),
        TbOffset(),
        HostTicks(),
        SnapshotTuple(),
        KvmRawOffset(),
        PerCpuTimebase(),
        CpuBeforeMachine(),
        QemuDeadClamp(),
        Clamped(),
        KvmTbu40(),
        KvmRandomDec(),
        DeadlineBeforeClock(),
        NegativeDelta(),
        RoundDown(),
        DoubleRead(),
        PendingDropped(),
        TbWriteDropped(),
        FrequencyChange(),
        DecrOnly(),
        LineNotRecomputed(),
        ChannelClock(),
    )
}
