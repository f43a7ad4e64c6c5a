"""Postcopy at the destination: the guest runs, and a CPU that touches a page that is missing stands until it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemig.errors import ProtocolError
from livemig.machine.machine import Machine
from livemig.machine.ram import Pages
from livemig.migration.blocktime import Blocktime
from livemig.migration.fields import FAR, Runs
from livemig.migration.frames import Frame
from livemig.migration.page_sums import Sums, add_sums, digest, sums_of
from livemig.migration.settings import Settings
from livemig.migration.side import Emit


class PostcopyDestination:
    """Which pages are missing, who waits for them, and what was asked for.

    Args:
        send: puts a frame on the wire, gives when it arrives. promise: says, outside time, that nothing is sent before
            an instant.

    Attributes:
        missing: pages that have not arrived; the peer may write these and no others.
        at_first: what was missing when the guest was handed over.
        requests: pages asked for. preempted_pages: those that came by a connection of their own.
        resume_ns: when the guest starts to run.
    """

    def __init__(
        self,
        machine: Machine,
        settings: Settings,
        emit: Emit,
        send: Callable[..., int],
        promise: Callable[..., None],
    ) -> None:
        self.requests = self.arrived_pages = self.preempted_pages = 0
        self.blocktime = Blocktime(machine.spec.cpus)
        self.missing: NDArray[np.bool_] = np.zeros(machine.ram.page_count, np.bool_)
        self.at_first = self.missing
        self.deaf = False
        """The link is down."""
        self._machine, self._settings, self._lookahead = machine, settings, settings.postcopy.lookahead_ns
        self._emit, self._send, self._promise = emit, send, promise
        self._sums: Sums = np.zeros(0, np.uint64)
        self._asked: NDArray[np.bool_] = np.zeros(machine.ram.page_count, np.bool_)
        self._number = 0
        self._owed: list[tuple[int, int]] = []
        self._coming: list[int] = []
        self._next_push_ns = 0
        self._promised_ns = 0
        self.resume_ns = 0

    # -- the hand-over ----------------------------------------------------------------------------------------------

    def discard(self, bitmap: bytes) -> None:
        """Which pages the source has not sent, or has sent and then written again.

        Raises:
            ProtocolError: it is not a bitmap of this RAM.
        """
        self.missing = bits(bitmap, len(self.missing), "discard")
        if not self.missing.any():
            raise ProtocolError("discard", "payload", "no page is missing")
        self.at_first = self.missing.copy()
        self._machine.writes.lose(self.missing)

    def loaded(self) -> str:
        """The digest of the pages that are here."""
        self._sums = sums_of(self._machine.ram)
        self._sums[self.missing] = 0
        return digest(self._sums)

    def switched(self, arrived_ns: int, resume_ns: int) -> None:
        """The source speaks from now on when it likes; it knows that we do not before the guest is resumed."""
        self._next_push_ns = max(self._next_push_ns, arrived_ns - self._lookahead)
        self._promised_ns = self.resume_ns = resume_ns

    # -- pages ------------------------------------------------------------------------------------------------------

    @property
    def due(self) -> int | None:
        """A barrier must fall here: a CPU may touch a missing page then."""
        return self._machine.next_fault_ns()

    def fault(self, now: int) -> None:
        """CPUs that touch a missing page at ``now`` stand, and it is asked for."""
        asked = None
        for fault in self._machine.stand(now):
            self.blocktime.stands(now, fault.cpu)
            self._emit(now, "postcopy_fault", cpu=fault.cpu, page=fault.page, requested=self._wants(fault.page))
            asked = self._request(now, fault.page) or asked
        self._promise_with(asked)

    def arrive(self, now: int, frame: Frame) -> bool:
        """Pages have come; gives whether they were the last ones.

        Raises:
            ProtocolError: one of them was not missing.
        """
        if frame.arrives_ns in self._coming:
            self._coming.remove(frame.arrives_ns)
        pages = pages_in(frame.fields["runs"], frame.fields["zero"])
        if not self.missing[pages].all():
            raise ProtocolError(frame.type, "runs", "a page that is not missing")
        add_sums(self._sums, self._machine.ram, pages)
        self.arrived_pages += len(pages)
        if frame.urgent and self._settings.postcopy.preempt:
            self.preempted_pages += len(pages)
        self.missing[pages] = False
        for fault, stood_ns in self._machine.arrive(now, pages):
            self.blocktime.goes_on(now, fault.cpu)
            late_ns = self._machine.raised_for_ns(fault.cpu, now, stood_ns)
            self._emit(now, "page_arrived", cpu=fault.cpu, page=fault.page, wait_ns=stood_ns, late_ns=late_ns)
        return not self.missing.any()

    def end(self, now: int) -> str:
        """All pages are here: says so, and gives their digest, each as it arrived."""
        whole = digest(self._sums)
        self._emit(
            now, "postcopy_ended", pages=self.arrived_pages, requests=self.requests,
            preempted=self.preempted_pages, ram_digest=whole,
            blocktime_ns=self.blocktime.all_ns, vcpu_blocktime_ns=list(self.blocktime.each_ns),
        )  # fmt: skip
        return whole

    def _wants(self, page: int) -> bool:
        return not (self.deaf or self._asked[page])

    def _request(self, now: int, page: int) -> dict[str, Any] | None:
        if not self._wants(page):
            return None
        self._asked[page] = True
        self.requests += 1
        self._number += 1
        fields: dict[str, Any] = {
            "number": self._number, "page": page, "around": self._settings.postcopy.prepaging, "until_ns": now
        }  # fmt: skip
        self._owed.append((self._number, self._send(now, "page_request", fields)))
        return fields

    def _promise_with(self, request: dict[str, Any] | None) -> None:
        """The last request of an instant says until when there is no other, to a source that has to know."""
        if request is not None and self._settings.postcopy.promises:
            request["until_ns"] = self._promised_ns = max(self._silent_until(), request["until_ns"])

    # -- the link ---------------------------------------------------------------------------------------------------

    def lost(self) -> None:
        """The link is down: what was asked for will not come."""
        self.deaf = True
        self._owed.clear()
        self._coming.clear()

    def answered(self, arrives_ns: int) -> None:
        """What the source must answer has been sent, and arrives then; nothing comes from it before that."""
        self._next_push_ns = arrives_ns
        self._promised_ns = 0

    def go_on(self, now: int) -> None:
        """The link is back: pages that CPUs wait for are asked for again."""
        self.deaf = False
        self._number = 0
        self._asked[:] = False
        asked = None
        for _, page in self._machine.writes.standing:
            asked = self._request(now, page) or asked
        self._promise_with(asked)

    # -- promises ---------------------------------------------------------------------------------------------------

    def hear(self, frame: Frame) -> None:
        """A frame of the source has been received, whenever it is that it arrives.

        Where answers go by a connection of their own, what they say of pushes is not true yet.
        """
        if frame.type == "postcopy_pages":
            self._coming.append(frame.arrives_ns)
        answers = frame.fields.get("answers", 0)
        if answers:
            self._owed = [owed for owed in self._owed if owed[0] > answers]
        if frame.type in ("recover", "resume"):  # nothing follows before it is answered
            self._next_push_ns = max(self._next_push_ns, frame.arrives_ns)
        if "until_ns" in frame.fields and not (answers and self._settings.postcopy.preempt):
            self._next_push_ns = max(self._next_push_ns, frame.fields["until_ns"])

    @property
    def horizon(self) -> int:
        """Nothing that is not known of arrives before."""
        first_answer = self._owed[0][1] if self._owed else FAR
        return min(self._next_push_ns, first_answer) + self._lookahead

    def keep_in_step(self, now: int) -> None:
        """Promise to be silent for as long as is known, if the source needs to know for its next push."""
        promises = self._settings.postcopy.promises and not self.deaf
        if not promises or self._promised_ns + self._lookahead > self._next_push_ns:
            return
        until = self._silent_until()
        if until > self._promised_ns:
            self._promised_ns = until
            self._promise(now, until, 0)

    def _silent_until(self) -> int:
        """Nothing is sent before: no CPU can touch a missing page before, those that stand included."""
        if not self._machine.running:
            return max(self._promised_ns, self.resume_ns)
        until = self._machine.next_fault_ns()
        bound = FAR if until is None else until
        return min(bound, self.horizon, *self._coming) if self._machine.writes.standing else bound


def bits(payload: bytes, count: int, frame: str) -> NDArray[np.bool_]:
    """A bitmap of ``count`` pages.

    Raises:
        ProtocolError: it has another length.
    """
    if len(payload) != -(-count // 8):
        raise ProtocolError(frame, "payload", f"{len(payload)} bytes are not a bitmap of {count} pages")
    return np.unpackbits(np.frombuffer(payload, np.uint8), count=count).astype(np.bool_)


def pages_in(*lists: Runs) -> Pages:
    """Every page of runs, ascending."""
    found = [np.arange(first, first + count) for runs in lists for first, count in np.asarray(runs).tolist()]
    return np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)
