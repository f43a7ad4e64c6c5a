"""The run states of a machine, in QEMU's words (``qapi/run-state.json``), and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """``running`` is the only one in which guest time passes."""

    PRELAUNCH = "prelaunch"
    INMIGRATE = "inmigrate"
    RUNNING = "running"
    PAUSED = "paused"
    FINISH_MIGRATE = "finish-migrate"
    POSTMIGRATE = "postmigrate"
    SHUTDOWN = "shutdown"


ALLOWED: dict[RunState, frozenset[RunState]] = {
    RunState.PRELAUNCH: frozenset({RunState.RUNNING, RunState.INMIGRATE, RunState.SHUTDOWN}),
    RunState.INMIGRATE: frozenset({RunState.RUNNING, RunState.PAUSED, RunState.SHUTDOWN}),
    RunState.RUNNING: frozenset({RunState.PAUSED, RunState.FINISH_MIGRATE, RunState.SHUTDOWN}),
    RunState.PAUSED: frozenset({RunState.RUNNING, RunState.FINISH_MIGRATE, RunState.SHUTDOWN}),
    RunState.FINISH_MIGRATE: frozenset(
        {RunState.RUNNING, RunState.PAUSED, RunState.POSTMIGRATE, RunState.SHUTDOWN}
    ),
    RunState.POSTMIGRATE: frozenset({RunState.RUNNING, RunState.SHUTDOWN}),
    RunState.SHUTDOWN: frozenset(),
}


def follow(old: RunState, new: RunState) -> RunState:
    """``new``, if a machine in ``old`` may go there.

    Raises:
        ValueError: the transition does not exist; QEMU aborts on it.
    """
    if new not in ALLOWED[old]:
        raise ValueError(f"run state {old} does not go to {new}")
    return new
