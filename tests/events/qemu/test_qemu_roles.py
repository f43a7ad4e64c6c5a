"""Which thread is QEMU's main thread, which run CPUs, which save; and which CPU goes on in which thread."""

from __future__ import annotations

from pathlib import Path

from tiny_log import CPU0, CPU1, HZ, MAIN, SAVER, handler, load, migration, raised, reset, runs, saved, shown, tb, write

from livemig.events.qemu.cpus import cpus_of
from livemig.events.qemu.roles import Roles, last_burst, roles
from livemig.events.qemu.standstill import Standstill
from livemig.events.qemu.survey import Reading, survey
from livemig.events.qemu.trace import TraceLog


def found(tmp_path: Path, *texts: str) -> Roles:
    return roles(survey(TraceLog(saved(tmp_path / "log", *texts))))


def tids(who: Roles) -> tuple[int | None, list[int], list[int]]:
    return who.main and who.main.tid, [thread.tid for thread in who.vcpus], [thread.tid for thread in who.savers]


def test_a_whole_log_shows_all_three(tmp_path: Path) -> None:
    texts = reset(0), runs(1), write(2, -3, 50, CPU0), raised(53), handler(54, 53, -4, 50), load(90, 17, SAVER)
    assert tids(found(tmp_path, *texts)) == (MAIN, [CPU0], [SAVER])


def test_in_a_window_of_a_log_main_is_the_thread_that_raises(tmp_path: Path) -> None:
    texts = write(2, -3, 50, CPU1), raised(40), tb(41, 41, CPU1), write(52, -1, 9, CPU0)
    assert tids(found(tmp_path, *texts)) == (MAIN, [CPU0, CPU1], [])


def test_a_cpu_that_raises_by_its_own_write_is_not_main(tmp_path: Path) -> None:
    """A level CPU that writes a negative value raises at once, in its own thread."""
    who = found(tmp_path, write(2, 5, -1, CPU0), raised(3, CPU0), raised(40, MAIN), tb(41, 41, CPU0))
    assert tids(who) == (MAIN, [CPU0], [])


def test_a_log_with_nothing_but_the_monitor_has_no_cpu(tmp_path: Path) -> None:
    assert tids(found(tmp_path, shown(5, -7, 99))) == (MAIN, [], [])


def test_a_window_of_one_cpu_alone_has_no_main_thread(tmp_path: Path) -> None:
    assert tids(found(tmp_path, handler(5, 5, -1, 50), handler(60, 60, -1, 50))) == (None, [CPU0], [])


def test_a_write_of_main_without_a_read_is_its_own_reset_but_a_cut_log_begins_anywhere(tmp_path: Path) -> None:
    first_line_lost = write(2, -3, 50, CPU0).splitlines(keepends=True)[1]
    assert tids(found(tmp_path, first_line_lost, raised(40), tb(41, 41)))[0] == MAIN


def test_a_thread_of_its_own_may_load_the_state(tmp_path: Path) -> None:
    loader = 102
    who = found(
        tmp_path, reset(0), write(5, -6, 70, loader), runs(9), raised(80), handler(81, 80, -2, 50), migration(95, "x")
    )
    assert who.loader is not None
    assert who.loader.tid == loader
    assert [thread.tid for thread in who.vcpus] == [CPU0]


def test_the_main_thread_loads_it_else(tmp_path: Path) -> None:
    who = found(tmp_path, reset(0), write(5, -6, 70, MAIN), runs(9), raised(80), handler(81, 80, -2, 50))
    assert who.loader is who.main


def test_a_burst_is_what_is_read_of_one_cpu_after_the_other() -> None:
    polls = [Reading(t, value) for t, value in [(1_000, 5), (900_000, 7), (900_100, 8)]]
    assert last_burst(polls) == polls[1:]
    assert last_burst(polls[:2]) == polls[1:2]
    assert last_burst([]) == []


# ── the CPUs of the destination ──


def loaded(*decr: int, t_us: int = 1_000_000) -> Standstill:
    return Standstill(t_us, "vm_state_notify", 0, [0] * len(decr), list(decr), 0, before=(-1,) * len(decr))


def vcpus(tmp_path: Path, *texts: str) -> list:  # type: ignore[type-arg]
    return found(tmp_path, *texts, raised(99)).vcpus


T0 = 1_700_000_000_000_000
"""Host time of microsecond 0, in microseconds."""


def test_the_only_thread_may_run_the_second_cpu(tmp_path: Path) -> None:
    """It reads 200 at 5 ms after the start: CPU 1 was loaded with 5200 and is there now, CPU 0 is far below."""
    threads = vcpus(tmp_path, write(5_000, 200, 50, CPU0))
    assert cpus_of(threads, loaded(-40_000, 5_200, t_us=T0), HZ, 2) == ({CPU0: 1}, [1])


def test_values_overrule_the_order_of_the_threads(tmp_path: Path) -> None:
    threads = vcpus(tmp_path, write(1_000, 99_000, 50, CPU0), write(1_000, -1_000, 50, CPU1))
    assert cpus_of(threads, loaded(0, 100_000, t_us=T0), HZ, 2) == ({CPU0: 1, CPU1: 0}, [0, 1])


def test_where_the_values_fit_both_the_order_decides(tmp_path: Path) -> None:
    threads = vcpus(tmp_path, write(1_000, 10, 50, CPU0), write(1_000, 20, 50, CPU1))
    assert cpus_of(threads, loaded(1_010, 1_020, t_us=T0), HZ, 2) == ({CPU0: 0, CPU1: 1}, [])


def test_where_nothing_was_loaded_the_order_decides(tmp_path: Path) -> None:
    threads = vcpus(tmp_path, write(1_000, -5, 50, CPU0), write(1_000, -6, 50, CPU1))
    here = Standstill(T0, "run.toml", 0, [0, 0], [None, None], 0)
    assert cpus_of(threads, here, HZ, 2) == ({CPU0: 0, CPU1: 1}, [])
    assert cpus_of(threads, None, HZ, 2) == ({CPU0: 0, CPU1: 1}, [])


def test_decr_is_compared_modulo_its_width(tmp_path: Path) -> None:
    """4295 s after the start DECR has gone all the way round, and 200,000 further."""
    threads = vcpus(tmp_path, write((1 << 32) + 200_000, -150_000, 50, CPU0))
    assert cpus_of(threads, loaded(50_000, 900_000, t_us=T0), HZ, 2) == ({CPU0: 0}, [0])
