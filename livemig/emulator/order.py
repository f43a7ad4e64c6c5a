"""What another task wants of an emulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from livemig.errors import LivemigError


class Order:
    """Something another task wants done at a barrier."""

    def __init__(self, action: Callable[[int], Any]) -> None:
        self._action = action
        self.done = trio.Event()
        self.result: Any = None
        self.error: Exception | None = None

    def carry_out(self, now: int) -> None:
        try:
            self.result = self._action(now)
        except LivemigError as error:
            self.error = error
        self.done.set()
