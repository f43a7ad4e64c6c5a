"""A frame that is handed over in one process is held to what one from a socket is held to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livemig.config.model import Config
from livemig.errors import ProtocolError
from livemig.launch.in_process import run_kept
from livemig.launch.memory_pipe import Pipe
from livemig.machine.ram import PAGE, Ram
from livemig.migration.frames import Frame

PAGES = 8


class Side:
    """As much of an emulator as a pipe needs."""

    def __init__(self) -> None:
        self.machine, self.wire = self, None
        self.ram = Ram(PAGES * PAGE)
        self.heard_of: list[Frame] = []
        self.damaged: list[tuple[int, str]] = []

    def heard(self, frame: Frame) -> None:
        self.heard_of.append(frame)


def connected() -> tuple[Side, Side, Pipe, Pipe]:
    sides = Side(), Side()

    def damaged(side: Any, at_ns: int, error: ProtocolError) -> None:
        side.damaged.append((at_ns, str(error)))

    one, other = (Pipe(side, damaged) for side in sides)  # type: ignore[arg-type]
    one.peer, other.peer = other, one
    return *sides, one, other


def pages(runs: list[list[int]], zero: list[list[int]], at: int = 7) -> Frame:
    return Frame("pages", at, at, {"runs": np.array(runs).reshape(-1, 2), "zero": np.array(zero).reshape(-1, 2)})


def test_pages_go_where_they_belong_and_nowhere_else() -> None:
    here, there, pipe, other = connected()
    here.ram.words[:] = np.arange(1, PAGES + 1)[:, np.newaxis]
    there.ram.words[:] = 99
    pipe.post(pages([[1, 2], [5, 1]], [[0, 1], [7, 1]]))
    assert there.ram.words[:, 0].tolist() == [0, 2, 3, 99, 99, 6, 99, 0]
    assert (there.ram.words == there.ram.words[:, :1]).all()
    pipe.post(pages([[3, 2]], []))
    assert there.ram.words[:, -1].tolist() == [0, 2, 3, 4, 5, 6, 99, 0]
    tally = other.tally
    assert (tally.frames, tally.pages, tally.zero_pages, tally.payload_bytes) == (2, 5, 2, 5 * PAGE)
    assert (there.heard_of, other.signs) == ([], 2)


def test_a_payload_comes_with_its_frame_and_shares_no_fields() -> None:
    _, there, pipe, _ = connected()
    fields = {"stopped_ns": 1, "resume_ns": 2, "paused": 0, "due_ns": [5], "booted_ns": -1}
    pipe.post(Frame("switchover", 3, 4, fields))
    fields["due_ns"].append(6)  # type: ignore[attr-defined]
    pipe.post(Frame("snapshot", 4, 5, payload=b"what there is"))
    first, second = there.heard_of
    assert first.fields["due_ns"] == [5]
    assert (second.payload, second.arrives_ns) == (b"what there is", 5)


def test_what_may_not_be_written_is_not() -> None:
    here, there, pipe, other = connected()
    here.ram.words[:] = 1
    other.restrict(np.arange(PAGES) < 4)
    pipe.post(pages([[1, 1]], []))
    assert not there.ram.words.any()
    assert there.damaged == [(7, "frame 'pages', type: not expected: the guest runs here")]


def test_nothing_behind_a_damaged_frame_is_taken_and_it_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _, there, pipe, other = connected()
    monkeypatch.setattr(pipe._outbound, "header", lambda frame: b"\0" * 40)
    pipe.post(Frame("welcome", 1, 2, {"version": 3}))
    monkeypatch.undo()
    pipe.post(Frame("welcome", 2, 3, {"version": 3}))
    assert [at for at, _ in there.damaged] == [2]
    assert (there.heard_of, other.signs) == ([], 0)


def test_a_frame_that_the_link_damages_ends_the_migration_and_the_guest_stays() -> None:
    fault = {"enabled": True, "before": "snapshot", "direction": "to-destination"}
    config = Config.model_validate(
        {
            "run": {"duration": "300ms"}, "machine": {"ram": "1MiB"}, "fault": {"corrupt": fault},
            "migration": {"start": "50ms", "downtime": "20ms"},
        }
    )  # fmt: skip
    outcome, _ = run_kept(config)
    assert (outcome.status, outcome.owner) == ("failed", "source")
    assert "damaged" in outcome.reason
