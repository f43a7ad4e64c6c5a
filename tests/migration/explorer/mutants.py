"""Rules of the protocol, broken one at a time: what the explorer must find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from livemig.emulator.hops import Hops
from livemig.errors import ProtocolError
from livemig.machine.ram import Ram
from livemig.machine.runstate import RunState
from livemig.migration.destination import Destination
from livemig.migration.frames import Frame
from livemig.migration.postcopy_destination import PostcopyDestination
from livemig.migration.postcopy_source import PostcopySource
from livemig.migration.precopy import Precopy
from livemig.migration.source import Source
from livemig.migration.status import Status


class Mutant(NamedTuple):
    """Attributes:
    where, method, make: `make` gives another method, from the right one. scenario: in which it is found.
    said: how the finding begins.
    """

    where: type
    method: str
    make: Callable[[Callable[..., Any]], Callable[..., Any]]
    scenario: str
    said: str


def _source_goes_on_after_switchover(right: Callable[..., Any]) -> Callable[..., Any]:
    def fail(self: Source, now: int, reason: str) -> None:
        self.owner = "source"
        right(self, now, reason)

    return fail


def _source_cancels_after_switchover(right: Callable[..., Any]) -> Callable[..., Any]:
    def cancel(self: Source, now: int, reason: str = "") -> bool:
        if self.status is Status.DEVICE:
            self.owner = "source"
        done: bool = right(self, now, reason)
        return done

    return cancel


def _source_keeps_owning(right: Callable[..., Any]) -> Callable[..., Any]:
    def switch_over(self: Source, now: int) -> None:
        right(self, now)
        self.owner = "source"

    return switch_over


def _source_stops_for_good(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, now: None


def _source_shuts_down_at_the_stop(right: Callable[..., Any]) -> Callable[..., Any]:
    def finish(self: Source, now: int) -> None:
        self.machine.enter(RunState.POSTMIGRATE)
        right(self, now)

    return finish


def _source_gives_up_a_paused_postcopy(right: Callable[..., Any]) -> Callable[..., Any]:
    def pause(self: Source, now: int, reason: str) -> None:
        right(self, now, reason)
        self.status = Status.FAILED

    return pause


def _source_ignores_what_it_is_told_to_wait_for(right: Callable[..., Any]) -> Callable[..., Any]:
    def proceed(self: Source, now: int) -> bool:
        return False

    return proceed


def _source_completes_with_the_resume(right: Callable[..., Any]) -> Callable[..., Any]:
    def runs_there(self: Source, now: int, frame: Frame) -> None:
        right(self, now, frame)
        self._complete(now, "")

    return runs_there


def _source_hears_no_late_start(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, frame: False


def _destination_runs_when_loaded(right: Callable[..., Any]) -> Callable[..., Any]:
    def snapshot(self: Destination, now: int, frame: Frame) -> None:
        right(self, now, frame)
        self.machine.resume(now)

    return snapshot


def _destination_lets_go_after_switchover(right: Callable[..., Any]) -> Callable[..., Any]:
    def fail(self: Destination, now: int, reason: str) -> None:
        if self.owner == "destination" and self.resumed_ns is None:
            self.due = None
        right(self, now, reason)

    return fail


def _destination_takes_the_guest_when_asked_what_it_has(right: Callable[..., Any]) -> Callable[..., Any]:
    def fail(self: Destination, now: int, reason: str) -> None:
        right(self, now, reason)
        if self.status is Status.POSTCOPY_PAUSED and self.owner == "source":
            self.owner, self.due = "destination", now

    return fail


def _destination_is_not_told_twice(right: Callable[..., Any]) -> Callable[..., Any]:
    def resume(self: Destination, now: int, frame: Frame) -> None:
        if self.owner == "source":
            raise ProtocolError("resume", "type", "without switchover")
        right(self, now, frame)

    return resume


def _destination_obeys_a_late_cancel(right: Callable[..., Any]) -> Callable[..., Any]:
    def refuse(self: Destination, now: int, frame: Frame) -> None:
        self.owner = "source"
        right(self, now, frame)

    return refuse


def _bitmap_lies(right: Callable[..., Any]) -> Callable[..., Any]:
    def recover(self: Destination, now: int, frame: Frame) -> None:
        right(self, now, frame)
        answer = self.outbox[-1]
        self.outbox[-1] = Frame(answer.type, now, now, answer.fields, b"\xff" * len(answer.payload))

    return recover


def _bitmap_is_not_looked_at(right: Callable[..., Any]) -> Callable[..., Any]:
    def go_on(self: PostcopySource, now: int, has: Any) -> None:
        right(self, now, has | ~self.unsent)

    return go_on


def _everything_is_sent_again(right: Callable[..., Any]) -> Callable[..., Any]:
    def go_on(self: PostcopySource, now: int, has: Any) -> None:
        right(self, now, np.zeros_like(has))

    return go_on


def _nothing_is_pushed_and_that_in_a_frame(right: Callable[..., Any]) -> Callable[..., Any]:
    def go_on(self: PostcopySource, now: int, has: Any) -> None:
        right(self, now, has)
        self.due = now

    return go_on


def _answered_pages_are_pushed_too(right: Callable[..., Any]) -> Callable[..., Any]:
    def answer(self: PostcopySource, now: int, frame: Frame) -> None:
        unsent = self.unsent.copy()
        right(self, now, frame)
        if self.due is not None:
            self.unsent[:] = unsent

    return answer


def _requests_are_ignored_once_pushed(right: Callable[..., Any]) -> Callable[..., Any]:
    def push(self: PostcopySource, now: int) -> None:
        self.unsent[:] = False
        self.due = None

    return push


def _a_dirty_bit_is_dropped(right: Callable[..., Any]) -> Callable[..., Any]:
    def take_dirty(self: Ram) -> Any:
        pages = right(self)
        return pages if len(pages) == self.page_count else pages[1:]

    return take_dirty


def _what_waits_is_dropped(right: Callable[..., Any]) -> Callable[..., Any]:
    def hand_over(self: Precopy, now: int) -> Any:
        phase, pages = right(self, now)
        return phase, pages[:-1]

    return hand_over


def _what_is_discarded_counts_as_here(right: Callable[..., Any]) -> Callable[..., Any]:
    def discard(self: PostcopyDestination, bitmap: bytes) -> None:
        right(self, bitmap)
        self.missing[-1] = False

    return discard


def _received_before_the_last_page(right: Callable[..., Any]) -> Callable[..., Any]:
    def arrive(self: PostcopyDestination, now: int, frame: Frame) -> bool:
        right(self, now, frame)
        return True

    return arrive


def _nobody_is_woken(right: Callable[..., Any]) -> Callable[..., Any]:
    def lost(self: PostcopyDestination) -> None:
        right(self)
        self.missing[:] = False

    return lost


def _a_source_whose_hop_failed_makes_room_for_the_next(right: Callable[..., Any]) -> Callable[..., Any]:
    def after(self: Hops, side: Source | Destination, now: int) -> Any:
        if isinstance(side, Source) and side.status is Status.FAILED and side.owner == "none":
            side.machine.ram.clear()
        return right(self, side, now)

    return after


def _the_next_source_begins_with_a_machine_at_reset(right: Callable[..., Any]) -> Callable[..., Any]:
    def after(self: Hops, side: Source | Destination, now: int) -> Any:
        following = right(self, side, now)
        return self.source(self._anew(now, side.machine.ram)) if isinstance(following, Source) else following

    return after


def _the_guest_is_sent_on_before_it_runs(right: Callable[..., Any]) -> Callable[..., Any]:
    def after(self: Hops, side: Source | Destination, now: int) -> Any:
        if isinstance(side, Destination) and side.owner == "destination" and side.resumed_ns is None:
            self.number += 1
            return self.source(side.machine)
        return right(self, side, now)

    return after


def _a_broken_file_is_not_taken_back(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: None


def _completed_before_the_file_is_on_the_disk(right: Callable[..., Any]) -> Callable[..., Any]:
    def ask(self: Source, now: int, kind: str, *more: Any, **fields: Any) -> None:
        right(self, now, kind, *more, **fields)
        if self.by_file and kind == "switchover":
            self._resumed(now, Frame("bye", now, now))

    return ask


def _destination_goes_on_without_its_pages(right: Callable[..., Any]) -> Callable[..., Any]:
    def fail(self: Destination, now: int, reason: str) -> None:
        if self.status is not Status.POSTCOPY_ACTIVE:
            right(self, now, reason)

    return fail


MUTANTS: Final = {
    "the source runs on after a failure behind switchover":
        Mutant(Source, "fail", _source_goes_on_after_switchover, "precopy", "two owners"),
    "the source can be cancelled behind switchover":
        Mutant(Source, "cancel", _source_cancels_after_switchover, "precopy", "two owners"),
    "the source takes itself for the owner behind switchover":
        Mutant(Source, "_switch_over", _source_keeps_owning, "precopy", "two owners"),
    "the source does not resume after a failure":
        Mutant(Source, "_resume", _source_stops_for_good, "precopy", "no owner"),
    "the source lets go of the guest before switchover":
        Mutant(Source, "_finish", _source_shuts_down_at_the_stop, "precopy", "no owner"),
    "a postcopy whose link breaks is failed":
        Mutant(Source, "_pause", _source_gives_up_a_paused_postcopy, "postcopy, cut twice", "a page is lost"),
    "migrate-continue does nothing":
        Mutant(Source, "proceed", _source_ignores_what_it_is_told_to_wait_for, "pause before switchover", "it may go"),
    "a postcopy is completed with the resume":
        Mutant(Source, "_runs_there", _source_completes_with_the_resume, "postcopy, both crash", "a page is lost"),
    "a resume during the recovery is a wrong frame":
        Mutant(Source, "_starts_late", _source_hears_no_late_start, "postcopy, cut twice", "source takes a frame"),
    "the destination runs when it has loaded":
        Mutant(Destination, "_snapshot", _destination_runs_when_loaded, "precopy, three pages", "two owners"),
    "the destination lets go of the guest when the link breaks":
        Mutant(Destination, "fail", _destination_lets_go_after_switchover, "precopy, three pages", "no owner"),
    "the destination takes a guest that was not handed over":
        Mutant(Destination, "fail", _destination_takes_the_guest_when_asked_what_it_has, "postcopy, cut twice", "two"),
    "a switchover that was lost cannot be said again":
        Mutant(Destination, "_resume", _destination_is_not_told_twice, "postcopy, cut twice", "destination takes"),
    "the bitmap says more than has come":
        Mutant(Destination, "_recover", _bitmap_lies, "postcopy, cut twice", "it ends with"),
    "what the bitmap lacks is not sent again":
        Mutant(PostcopySource, "go_on", _bitmap_is_not_looked_at, "postcopy, cut twice", "it ends with"),
    "what the bitmap has is sent again":
        Mutant(PostcopySource, "go_on", _everything_is_sent_again, "postcopy, cut twice", "destination takes"),
    "a push of nothing":
        Mutant(PostcopySource, "go_on", _nothing_is_pushed_and_that_in_a_frame, "postcopy, cut twice", "pages come"),
    "an answer is pushed too":
        Mutant(PostcopySource, "answer", _answered_pages_are_pushed_too, "postcopy, three pages", "destination takes"),
    "what is asked for counts as sent":
        Mutant(PostcopySource, "push", _requests_are_ignored_once_pushed, "postcopy, three pages", "it ends with"),
    "a dirty bit is dropped":
        Mutant(Ram, "take_dirty", _a_dirty_bit_is_dropped, "precopy", "destination takes"),
    "a page is left out of the hand-over":
        Mutant(Precopy, "hand_over", _what_waits_is_dropped, "postcopy, three pages", "destination takes"),
    "a page counts as here that is not":
        Mutant(PostcopyDestination, "discard", _what_is_discarded_counts_as_here, "postcopy, three pages",
               "destination takes"),
    "received before the last page":
        Mutant(PostcopyDestination, "arrive", _received_before_the_last_page, "postcopy, three pages",
               "the destination says completed"),
    "a source whose hop has failed clears its RAM":
        Mutant(Hops, "after", _a_source_whose_hop_failed_makes_room_for_the_next, "three hops", "a page is lost"),
    "the next hop begins with a machine at reset":
        Mutant(Hops, "after", _the_next_source_begins_with_a_machine_at_reset, "three hops", "no owner"),
    "the guest hops on before it runs":
        Mutant(Hops, "after", _the_guest_is_sent_on_before_it_runs, "three hops", "no owner"),
    "a guest whose file could not be written is not taken back":
        Mutant(Source, "reclaim", _a_broken_file_is_not_taken_back, "a file", "no owner"),
    "the source takes itself for the owner of what is in the file":
        Mutant(Source, "_switch_over", _source_keeps_owning, "a file", "two owners"),
    "completed before the file is on the disk":
        Mutant(Source, "_ask", _completed_before_the_file_is_on_the_disk, "a file", "the source says completed"),
    "a dirty bit is dropped on the way to a file":
        Mutant(Ram, "take_dirty", _a_dirty_bit_is_dropped, "a file", "a page is lost"),
    "what is restored runs before the file has been read":
        Mutant(Destination, "_snapshot", _destination_runs_when_loaded, "a file, restored", "two owners"),
    "the connection for requested pages is lost, and nobody pauses":
        Mutant(Destination, "fail", _destination_goes_on_without_its_pages, "postcopy, preempt", "it"),
    "nothing is missing when the link is lost":
        Mutant(PostcopyDestination, "lost", _nobody_is_woken, "postcopy, cut twice", "a page is lost"),
}  # fmt: skip
