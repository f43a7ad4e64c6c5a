"""PIT, BookE decrementer, FIT and watchdog, beside registers that are counted tick by tick."""

from __future__ import annotations

from dataclasses import asdict, fields
from types import SimpleNamespace

from brute_embedded import ARE, DIE, DIS, ENW, FIE, FIS, WIE, WIS, Brute40x, BruteBookE, Wires
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livemig.timers.booke import BookE, Guard
from livemig.timers.decrementer import Line
from livemig.timers.embedded import Embedded
from livemig.timers.facility import Change
from livemig.timers.ppc40x import Ppc40x

# the rules do not know which bits: small ones, so that the oracle sees every stage
SMALL = {"fit_bits": (1, 2, 3, 5), "watchdog_bits": (2, 3, 4, 6)}

COMMON = ("level", "wrc_sticky", "wrs_survives", "watchdog_critical")
SWITCHES_40X = [f.name for f in fields(Ppc40x) if f.type == "bool"]
SWITCHES_BOOKE = [f.name for f in fields(BookE) if f.type == "bool"]


def flags(names: list[str]) -> st.SearchStrategy[dict[str, bool]]:
    return st.fixed_dictionaries({name: st.booleans() for name in names})


class Living:
    """A facility through time: what falls due is told to it at its tick, as a CPU does."""

    def __init__(self, facility: Embedded, tb: int) -> None:
        self.facility, self.tb0, self.now = facility, tb, 0
        self.state = facility.at_reset(0, tb)
        self.raised: list[tuple[int, int]] = []
        self.up: set[int] = set()
        self.reset: str | None = None

    def _apply(self, change: Change) -> None:
        self.state, self.reset = change.state, change.reset
        for effect in change.effects:
            if effect.line is Line.RAISE:
                self.raised.append((self.now, effect.timer))
                assert effect.due <= self.now
                self.up.add(effect.timer)
            elif effect.line is Line.LOWER:
                self.up.discard(effect.timer)

    @property
    def tb(self) -> int:
        return (self.tb0 + self.now) % 2**64

    def fall_due(self) -> None:
        for timer, count in enumerate(self.state.counts):
            due = self.facility.due(timer, count)
            if due <= self.now and self.reset is None:
                self._apply(self.facility.expire(self.state, timer, self.now, self.tb))

    def tick(self) -> None:
        self.now += 1
        self.fall_due()

    def write(self, register: str, value: int) -> None:
        self._apply(self.facility.write(self.state, register, value, self.now, self.tb))
        if self.reset is None:
            self.fall_due()  # what was written due at once


LOW = 15 << 17 | 15 << 13
"""With FPEXT and WPEXT all ones the bits of an e500 are those of TB that a test sees."""

WORDS = st.builds(
    lambda bits, low: sum(bits) | low,
    st.lists(st.sampled_from([DIE, FIE, WIE, ARE, 1 << 30, 1 << 31, 1 << 24, 1 << 25, 1 << 28, 1 << 29]), unique=True),
    st.just(LOW),
)
STATUSES = st.one_of(
    st.sampled_from([0, DIS, FIS, WIS, ENW, ENW | WIS, 0xFFFF_FFFF]), st.integers(0, 2**32 - 1)
)  # fmt: skip


def scripts(main: str, *more: str) -> st.SearchStrategy[list[tuple[int, str, int]]]:
    small = st.integers(0, 40)
    write = st.one_of(
        st.tuples(st.just("tcr"), WORDS),
        st.tuples(st.just("tsr"), STATUSES),
        *(st.tuples(st.just(register), small) for register in (main, *more)),
    )
    return st.lists(st.tuples(st.integers(0, 90), write).map(lambda pair: (pair[0], *pair[1])), max_size=8)


def same(facility: Embedded, oracle: Wires, tb: int, script: list[tuple[int, str, int]]) -> None:
    ours = Living(facility, tb)
    main = facility.main.name

    def compare() -> None:
        assert ours.raised == oracle.raised
        assert ours.state.spr[:2] == (oracle.tcr, oracle.tsr)
        assert ours.reset == oracle.reset
        assert facility.read(ours.state, main, ours.now, ours.tb) == getattr(oracle, f"mf{main}")
        if facility.level:
            assert [timer in ours.up for timer in range(3)] == oracle.lines()

    for wait, register, value in [*script, (90, "tsr", 0)]:
        for _ in range(wait):
            ours.tick()
            oracle.tick()
            compare()
            if ours.reset:
                return
        ours.write(register, value)
        oracle.write(register, value)
        ours.raised.sort()
        oracle.raised.sort()
        compare()
        if ours.reset:
            return


_STEPS = {**dict.fromkeys(SWITCHES_40X, False), "watchdog_steps_on_tcr_write": True}


@settings(max_examples=300, deadline=None)
@given(flags(SWITCHES_40X), st.integers(0, 200), scripts("pit"))
@example(_STEPS, 0, [(0, "tcr", 0), (0, "tcr", 0), (0, "tsr", WIS)])  # stepped to its bark, and petted
def test_a_40x_does_at_every_tick_what_registers_counted_by_hand_do_under_all_switches(
    switches: dict[str, bool], tb: int, script: list[tuple[int, str, int]]
) -> None:
    facility = Ppc40x(**SMALL, **switches)  # type: ignore[arg-type]
    same(facility, Brute40x(SimpleNamespace(**asdict(facility)), tb), tb, script)


@settings(max_examples=300, deadline=None)
@example(  # an interval ends; at the same tick its interrupt is disabled and enabled again: a level rises twice
    dict.fromkeys(SWITCHES_BOOKE, False) | {"level": True}, Guard.FREE, True, 0, 0,
    [(2, "tcr", FIE | 2 << 24 | LOW), (4, "tcr", LOW), (0, "tcr", FIE | LOW)],
)  # fmt: skip
@given(
    flags(SWITCHES_BOOKE),
    st.sampled_from(Guard),
    st.booleans(),
    st.sampled_from([0, 1, 7, 30]),
    st.integers(0, 200),
    scripts("decr", "decar"),
)
def test_a_booke_does_at_every_tick_what_registers_counted_by_hand_do_under_all_switches(
    switches: dict[str, bool], guard: Guard, e500: bool, least: int, tb: int, script: list[tuple[int, str, int]]
) -> None:
    least = least if guard is not Guard.FREE else 0
    facility = BookE(**({} if e500 else SMALL), guard=guard, least=least, **switches)  # type: ignore[arg-type]
    same(facility, BruteBookE(SimpleNamespace(**asdict(facility)), tb), tb, script)
