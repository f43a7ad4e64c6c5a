"""``corrupt``: a frame arrives damaged."""

from __future__ import annotations

from livemig.link.faults.passage import LinkFault, Passage, When


class Corrupt(LinkFault):
    """The first that it meets; the checksum tells the receiver."""

    name = "corrupt"

    def __init__(self, when: When) -> None:
        super().__init__(when)
        self._done = False

    def act(self, frame: Passage) -> bool:
        return not self._done and super().act(frame)

    def apply(self, frame: Passage) -> None:
        self._done = frame.damaged = True
