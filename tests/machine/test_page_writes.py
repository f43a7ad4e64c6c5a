"""Writes of CPUs that stand for missing pages, beside a model that takes one write after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.guests.memory import MemoryWorkload
from livemig.machine.page_writes import PageWrites
from livemig.machine.ram import PAGE, Ram

PAGES = 12
RATE = PAGE * 1000
MS = 1_000_000


def workload(cpus: int, locality: str = "uniform", seed: int = 7, rate: int = RATE) -> MemoryWorkload:
    return MemoryWorkload(seed, cpus, rate, locality, PAGES, 2, 50, 0)


class OneByOne:
    """Each CPU's next write waits for its time; if its page is missing, until the page comes. All in ms."""

    def __init__(self, cpus: int, pages: list[int], missing: set[int]) -> None:
        self.cpus, self.pages, self.missing = cpus, pages, missing
        self.words = {}
        self.next = list(range(cpus))  # number of each CPU's next write, over all
        self.lag = [0] * cpus
        self.since: dict[int, int] = {}

    def at(self, now: int) -> None:
        for cpu in range(self.cpus):
            while cpu not in self.since and self.next[cpu] + 1 + self.lag[cpu] <= now:
                page = self.pages[self.next[cpu]]
                if page in self.missing:
                    self.since[cpu] = now
                else:
                    self.words[page, cpu] = self.next[cpu] + 1
                    self.next[cpu] += self.cpus

    def arrives(self, now: int, page: int) -> None:
        self.missing.discard(page)
        for cpu, since in list(self.since.items()):
            if self.pages[self.next[cpu]] not in self.missing:
                self.lag[cpu] += now - since
                del self.since[cpu]
        self.at(now)


@given(
    st.integers(1, 4),
    st.sampled_from(["uniform", "hot", "sequential"]),
    st.integers(0, 99),
    st.sets(st.integers(0, PAGES - 1), min_size=1),
    st.data(),
)
def test_a_cpu_stands_at_its_write_to_a_missing_page_until_that_comes_and_is_late_by_it_from_there_on(
    cpus: int, locality: str, seed: int, missing: set[int], data: st.DataObject
) -> None:
    load, ram = workload(cpus, locality, seed), Ram(PAGES * PAGE)
    writes = PageWrites(load, ram)
    model = OneByOne(cpus, load.pages(0, 400).tolist(), set(missing))
    bitmap = np.zeros(PAGES, np.bool_)
    bitmap[list(missing)] = True
    writes.lose(bitmap)
    now = 0
    for page in data.draw(st.permutations(sorted(missing))):
        until = now + data.draw(st.integers(0, 20))
        while now < until:
            now += 1
            model.at(now)
            look = writes.next_look_ns()
            before = set(model.since)
            stood = writes.stand(now * MS)
            writes.catch_up(now * MS)
            assert before | {fault.cpu for fault in stood} == set(model.since)
            assert all((fault.at_ns, fault.page) == (now * MS, model.pages[model.next[fault.cpu]]) for fault in stood)
            if look is None or look > now * MS:
                assert not stood
        since = dict(model.since)
        model.arrives(now, page)
        over = writes.arrive(now * MS, np.array([page]))
        writes.stand(now * MS)
        writes.catch_up(now * MS)
        gone_on = {cpu: now - at for cpu, at in since.items() if model.since.get(cpu) != at}
        assert {fault.cpu: stood // MS for fault, stood in over}.items() >= gone_on.items()
        assert dict(writes.standing) == {cpu: model.pages[model.next[cpu]] for cpu in model.since}
    now += 30
    for instant in range(now - 30, now + 1):
        model.at(instant)
    writes.catch_up(now * MS)
    assert writes.missing is None
    assert writes.lags_ns == [lag * MS for lag in model.lag]
    assert writes.done == sum((number - cpu) // cpus for cpu, number in enumerate(model.next))
    words = {(page, slot // 8): int(ram.words[page, slot]) for page in range(PAGES) for slot in range(0, 8 * cpus, 8)}
    assert {where: value for where, value in words.items() if value} == model.words


def test_who_has_stood_goes_on_elsewhere_where_he_was() -> None:
    """CPU 1 is 5 ms behind after 20 ms: of writes 1, 3, 5 … it has done those that fall before 15 ms, 1 … 13."""
    here, there = (PageWrites(workload(2), Ram(PAGES * PAGE)) for _ in range(2))
    there.load(20 * MS, [0, 5 * MS])
    assert there.done == 10 + 7
    here.lose(np.ones(PAGES, np.bool_))
    assert [fault.cpu for fault in here.stand(1 * MS)] == [0]
    assert here.standing == [(0, int(here.workload.pages(0, 1)[0]))]


@pytest.mark.parametrize("far", [1, 4095, 4096, 4097, 9000])
def test_the_next_look_is_not_after_the_first_touch_however_far_that_is(far: int) -> None:
    """Sequential over as many pages, all but the last here: the write numbered ``far`` is the first to touch it."""
    load = MemoryWorkload(1, 1, RATE, "sequential", far + 1, 1, 0, 0)
    writes = PageWrites(load, Ram((far + 1) * PAGE))
    missing = np.zeros(far + 1, np.bool_)
    missing[far] = True
    writes.lose(missing)
    looks = 0
    while not (faults := writes.stand(look := writes.next_look_ns() or 0)):
        looks += 1
        assert look < (far + 1) * MS
    assert (faults[0].page, faults[0].at_ns) == (far, (far + 1) * MS)
    assert looks <= far // 4096 + 1


def test_a_guest_that_writes_nothing_never_stands() -> None:
    writes = PageWrites(workload(2, rate=0), Ram(PAGES * PAGE))
    writes.lose(np.ones(PAGES, np.bool_))
    assert writes.next_look_ns() is None
    assert writes.stand(10**12) == []
