"""Postcopy at the source: the guest runs elsewhere, its missing pages go after it.

They are pushed from a cursor on, all the way round. A request is answered at once, ahead of all pushes, and moves the
cursor there (QEMU ``get_queued_page``, and from there on): next come the pages around it, then those that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemig.machine.machine import Machine
from livemig.machine.ram import PAGE, Pages
from livemig.migration.fields import FAR
from livemig.migration.frames import Frame
from livemig.migration.passes import Pass, page_runs
from livemig.migration.settings import Settings
from livemig.timers.ticks import NS_PER_S

_MOST_PUSHED = 256
"""Pages in one frame: whoever asks for another may have to wait behind it, at one of the hosts if not on the line."""
_SCANNED = 1 << 16
"""Pages looked through at a time."""


class PostcopySource:
    """What is to be sent, in which order.

    Args:
        send: puts a frame on the wire: kind, fields, bytes from RAM, urgent; gives when the line is free again.
        promise: says, outside time, that nothing but answers is sent before an instant; and how many were answered.

    Attributes:
        requests: page requests that came. heard_ns: the destination sends nothing before.
        due: when the next push leaves; None: nothing is left, or the link is down.
    """

    def __init__(
        self, machine: Machine, settings: Settings, send: Callable[..., int], promise: Callable[..., None]
    ) -> None:
        self.requests = self._answered = 0
        self.bytes = self.normal = self.zero_pages = 0
        self.heard_ns = 0
        self.due: int | None = None
        self.resumed_ns: int | None = None
        self.deserted = False
        """The destination has ended, the guest with it; the scenario is over there."""
        self.digest = ""
        self.phase = Pass(0, 0, 0)
        self.unsent: NDArray[np.bool_] = np.zeros(machine.ram.page_count, np.bool_)
        self._machine, self._settings, self._send, self._promise = machine, settings, send, promise
        self._cursor = 0
        self._near: Pages = np.zeros(0, np.int64)

    def adjust(self, settings: Settings) -> None:
        """From now on other values hold."""
        self._settings = settings

    @property
    def remaining(self) -> int:
        """Bytes of pages that are to be sent."""
        return int(np.count_nonzero(self.unsent)) * PAGE

    def begin(self, phase: Pass, pages: Pages) -> bytes:
        """``pages`` are left; gives them as a bitmap, for the destination to know which it misses."""
        self.phase = phase
        self.unsent[pages] = True
        return np.packbits(self.unsent).tobytes()

    def push(self, now: int) -> None:
        """Send the next pages of our own accord."""
        pages = self._next_pages(min(self._settings.chunk_pages, _MOST_PUSHED))
        fields = self._fields(pages, answers=0)
        content = self._count(fields, len(pages))
        free = self._send(now, "postcopy_pages", fields, size=content)
        rate = self._settings.postcopy.max_bandwidth
        self.due = max(free, now - (-content * NS_PER_S // rate)) if rate else free
        if not self.unsent.any():
            self.due = None
        fields["until_ns"] = self._until

    def answer(self, now: int, frame: Frame) -> None:
        """A page is asked for: it goes first, if it has not gone already; a bitmap of what is left decides."""
        self.requests += 1
        self._answered = frame.fields["number"]
        page, around = frame.fields["page"], frame.fields["around"]
        self._cursor = page
        first = max(page - around // 2, 0)
        self._near = np.arange(first, min(first + around + 1, len(self.unsent)))
        if not self.unsent[page]:
            self._promise(now, self._until, self._answered)
            return
        self.unsent[page] = False
        fields = self._fields_of(page, answers=self._answered)
        free = self._send(now, "postcopy_pages", fields, size=self._count(fields, 1), urgent=True)
        if self.due is not None:
            self.due = max(self.due, free) if self.unsent.any() else None
            if self._settings.postcopy.preempt:
                self._promise(now, self._until, 0)
        fields["until_ns"] = self._until

    def go_on(self, now: int, has: NDArray[np.bool_]) -> None:
        """After the link was down: what the destination has not is to be sent, again or for the first time."""
        self.unsent[:] = ~has
        self._answered = 0
        if self.unsent.any():
            self.due = now + 1  # behind what was asked for at the same instant
        else:
            self._promise(now, FAR, 0)

    @property
    def _until(self) -> int:
        """Nothing is pushed before."""
        return FAR if self.due is None else self.due

    def _next_pages(self, limit: int) -> Pages:
        near = self._near[self.unsent[self._near]][:limit]
        self.unsent[near] = False
        found, count = [near], len(near)
        for _ in range(-(-len(self.unsent) // _SCANNED) + 1):
            if count >= limit or not self._scan(found, limit - count):
                break
            count = sum(map(len, found))
        return np.sort(np.concatenate(found))

    def _scan(self, found: list[Pages], limit: int) -> bool:
        """From the cursor on, up to ``limit`` pages of a stretch; False if nothing is left anywhere."""
        end = min(self._cursor + _SCANNED, len(self.unsent))
        pages = np.flatnonzero(self.unsent[self._cursor : end])[:limit] + self._cursor
        self.unsent[pages] = False
        found.append(pages)
        self._cursor = int(pages[-1]) + 1 if len(pages) == limit else end
        if self._cursor == len(self.unsent):
            self._cursor = 0
            return bool(self.unsent.any())
        return True

    def _fields(self, pages: Pages, answers: int) -> dict[str, Any]:
        zero = self._machine.ram.zero(pages)
        return {
            "runs": page_runs(pages[~zero]), "zero": page_runs(pages[zero]), "answers": answers, "until_ns": 0
        }  # fmt: skip

    def _fields_of(self, page: int, answers: int) -> dict[str, Any]:
        """The same of one page, without a detour: a CPU waits for it."""
        run, none = np.array([[page, 1]]), np.zeros((0, 2), np.int64)
        full = bool(self._machine.ram.words[page].any())
        return {
            "runs": run if full else none, "zero": none if full else run, "answers": answers, "until_ns": 0
        }  # fmt: skip

    def _count(self, fields: dict[str, Any], pages: int) -> int:
        normal = int(fields["runs"][:, 1].sum())
        self.normal += normal
        self.zero_pages += pages - normal
        self.bytes += normal * PAGE
        self.phase = self.phase.sent(normal * PAGE, pages - normal, 0, 0)
        return normal * PAGE
