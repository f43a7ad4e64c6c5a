"""When the guest stood still, and where TB and DECR stood, by tiny logs. One tick is one microsecond."""

from __future__ import annotations

from pathlib import Path

from tiny_log import (
    CPU1,
    HZ,
    MAIN,
    SAVER,
    SECOND,
    handler,
    load,
    migration,
    raised,
    reset,
    runs,
    saved,
    shown,
    stops,
    tb,
    write,
)

from livemig.events.qemu.facts import Facts
from livemig.events.qemu.roles import roles
from livemig.events.qemu.standstill import CLOSE_NS, ROUGH_NS, Standstill, at_resume, at_stop, zero_ns
from livemig.events.qemu.survey import Reading, survey
from livemig.events.qemu.trace import TraceLog

T0 = SECOND * 1_000_000


def facts(tmp_path: Path, text: str = "") -> Facts:
    return Facts(saved(tmp_path / "run.toml", text))


def stop(tmp_path: Path, *texts: str, toml: str = "", cpus: int = 1) -> Standstill:
    log = survey(TraceLog(saved(tmp_path / "source.log", *texts)))
    end = at_stop(log, roles(log), facts(tmp_path, toml), HZ, cpus)
    assert end is not None
    return end


def resume(tmp_path: Path, *texts: str, toml: str = "", cpus: int = 1, stop_us: int = 0) -> Standstill | None:
    log = survey(TraceLog(saved(tmp_path / "destination.log", *texts)))
    return at_resume(log, roles(log), facts(tmp_path, toml), T0 + stop_us, HZ, cpus)


BEFORE = reset(0) + runs(10) + write(20, -11, 100) + raised(121) + handler(125, 115, -6, 100)
"""The machine starts at 10 with TB 0. The last write is at 129: DECR is 0 again at 229."""


# ── the stop ──


def test_what_the_monitor_shows_of_a_stopped_machine_is_exact(tmp_path: Path) -> None:
    """The clock halted at TB 190, which is host time 200; QEMU logged the stop 50 us later."""
    end = stop(tmp_path, BEFORE, stops(250), shown(400, 29, 190))
    assert (end.t_us - T0, end.by, end.tb, end.decr) == (250, "vm_state_notify", 190, [29])
    assert end.unsure_ns == CLOSE_NS + 50_000


def test_what_it_shows_of_a_running_machine_is_not(tmp_path: Path) -> None:
    """Two readings that differ: the clock ran. TB at the stop is then reckoned on from the guest's own readings."""
    running = load(180, 49, MAIN) + tb(181, 171, MAIN) + tb(182, 172, MAIN)
    end = stop(tmp_path, BEFORE, running, stops(250))
    assert (end.tb, end.decr) == (240, [None])


def test_the_migration_thread_reads_every_decr_in_the_order_of_the_cpus(tmp_path: Path) -> None:
    texts = BEFORE, write(140, -5, 300, CPU1), stops(250, SAVER), load(260, 29, SAVER), load(261, 200, SAVER)
    end = stop(tmp_path, *texts, cpus=2)
    assert end.decr == [29, 200]
    assert end.tb == 190  # DECR would be 0 at 229 and is 29: the clock halted at 200


def test_without_a_logged_stop_the_saved_decr_tells_when_it_was(tmp_path: Path) -> None:
    """DECR was 100 at 129 and is saved as 29: 71 us later, the clock stood."""
    end = stop(tmp_path, BEFORE, load(900, 29, SAVER))
    assert (end.t_us - T0, end.by, end.tb) == (200, "inferred from the DECR that was saved", 190)


def test_without_that_a_run_toml_does(tmp_path: Path) -> None:
    end = stop(tmp_path, BEFORE, toml=f"stopped_at_host_s = {SECOND}.000180")
    assert (end.t_us - T0, end.by, end.tb, end.unsure_ns) == (180, "run.toml", 170, ROUGH_NS)


def test_a_run_toml_cannot_stop_the_guest_before_it_acts_for_the_last_time(tmp_path: Path) -> None:
    assert stop(tmp_path, BEFORE, toml=f"stopped_at_host_s = {SECOND}.000050").t_us - T0 == 129


def test_without_anything_it_is_the_guests_last_act(tmp_path: Path) -> None:
    end = stop(tmp_path, BEFORE)
    assert (end.t_us - T0, end.by, end.tb) == (129, "inferred from the guest's last act", 119)


def test_a_stop_that_a_run_followed_is_not_the_last_one(tmp_path: Path) -> None:
    assert stop(tmp_path, BEFORE, stops(150), runs(170), stops(190)).t_us - T0 == 190


def test_of_two_stops_in_a_row_the_first_stopped_it(tmp_path: Path) -> None:
    assert stop(tmp_path, BEFORE, stops(150), stops(190, SAVER, "finish-migrate")).t_us - T0 == 150


def test_readings_delayed_by_the_host_do_not_count(tmp_path: Path) -> None:
    """The thread lost its CPU for 3 ms between a reading and its line: the better readings decide."""
    end = stop(tmp_path, BEFORE, tb(3_150, 140), stops(3_200))
    assert end.tb == 3_190


# ── the resume ──

LOAD = reset(0) + write(500, -191, 29, MAIN) + migration(510, "completed")
"""QEMU 10: the saved DECR is stored."""


def end_of(end: Standstill | None) -> Standstill:
    assert end is not None
    return end


def test_qemu_10_loads_decr_and_the_monitor_shows_tb(tmp_path: Path) -> None:
    end = end_of(resume(tmp_path, LOAD, shown(600, 29, 190), runs(700), raised(730)))
    assert (end.t_us - T0, end.tb, end.decr, end.before) == (700, 190, [29], (-191,))


def test_what_was_shown_before_the_load_does_not_count(tmp_path: Path) -> None:
    end = end_of(resume(tmp_path, shown(300, -5, 4), LOAD, runs(700), tb(705, 195)))
    assert end.tb == 190


def test_qemu_7_loads_nothing_and_decr_is_what_the_monitor_shows(tmp_path: Path) -> None:
    texts = (
        reset(0),
        migration(510, "completed"),
        shown(600, -191, 190),
        runs(700),
        stops(9_000),
        shown(9_100, -1, 8_490),
    )
    end = end_of(resume(tmp_path, *texts))
    assert (end.tb, end.decr, end.before) == (190, [-191], ())


def test_what_was_first_read_while_it_runs_is_reckoned_back(tmp_path: Path) -> None:
    texts = reset(0), runs(700), load(740, -231, MAIN), tb(741, 231, MAIN), tb(742, 232, MAIN)
    end = end_of(resume(tmp_path, *texts))
    assert (end.tb, end.decr) == (190, [-191])


def test_a_guest_that_never_reads_it_leaves_only_the_final_stop_to_reckon_from(tmp_path: Path) -> None:
    end = end_of(resume(tmp_path, reset(0), runs(700), stops(9_000), shown(9_100, -8_491, 8_490)))
    assert (end.tb, end.decr, end.unsure_ns) == (190, [-191], ROUGH_NS)


def test_without_a_logged_run_the_first_interrupt_tells(tmp_path: Path) -> None:
    """DECR was loaded as 29, and the interrupt came at 729."""
    end = end_of(resume(tmp_path, LOAD, raised(729), handler(735, 225, -6, 100)))
    assert (end.t_us - T0, end.tb) == (700, 190)
    assert end.by == "inferred from the first interrupt, and the DECR that was loaded"


def test_without_a_load_either_it_is_the_downtime_that_qemu_reported_if_it_was_live(tmp_path: Path) -> None:
    toml = 'method = "live"\nqemu_reported_downtime_ms = 25'
    end = end_of(resume(tmp_path, tb(90_000, 64_900, MAIN), tb(90_001, 64_901, MAIN), toml=toml, stop_us=100))
    assert (end.t_us - T0, end.tb) == (25_100, 0)


def test_a_destination_that_shows_no_guest_and_no_fact_never_resumed(tmp_path: Path) -> None:
    assert resume(tmp_path, shown(90_000, -5, 64_900), toml='method = "stop-and-copy"') is None


def test_tb_that_nobody_read_is_not_known(tmp_path: Path) -> None:
    end = end_of(resume(tmp_path, migration(5, "active"), runs(700), stops(9_000)))
    assert (end.tb, end.cpu_tb, end.decr) == (None, [None], [None])


# ── what unusual captures of real QEMUs showed ──


def test_being_told_to_quit_is_no_stop_that_a_migration_made(tmp_path: Path) -> None:
    """A migration was cancelled at 250, and QEMU ended at 300."""
    texts = BEFORE, stops(250, SAVER, "finish-migrate"), runs(251), stops(300, MAIN, "shutdown")
    found = survey(TraceLog(saved(tmp_path / "source.log", *texts)))
    assert (found.last_stop_us, found.next_stop_us, found.next_run_us) == (None, T0 + 250, T0 + 251)


def test_a_guest_that_ran_and_did_nothing_is_stopped_all_the_same(tmp_path: Path) -> None:
    """One that lost its decrementer in a migration before: its monitor alone shows TB and DECR."""
    end = stop(tmp_path, reset(0), runs(10), stops(5_010), shown(6_000, -4_991, 4_990))
    assert (end.t_us, end.tb, end.decr) == (T0 + 5_010, 4_990, [-4_991])


def test_a_reset_s_own_interrupt_however_late_is_logged_before_the_machine_runs(tmp_path: Path) -> None:
    """A busy host: 300 ms between a level CPU's reset, which raises at once, and the line of the raise."""
    texts = reset(0), raised(300_000), runs(400_000), handler(400_900, 5, -6, 100)
    found = survey(TraceLog(saved(tmp_path / "log", *texts)))
    assert roles(found).starts(found.first_run_us)
    late = survey(TraceLog(saved(tmp_path / "late", handler(0, 5, -6, 100), stops(900), runs(1_000))))
    assert not roles(late).starts(late.first_run_us)


def test_a_destination_that_is_stopped_and_runs_again_shows_at_its_first_stop_what_it_had_there(tmp_path: Path) -> None:
    texts = runs(100), stops(300), runs(700), stops(900), shown(1_000, -600, 2_000)
    end = resume(tmp_path, reset(0), *texts)
    assert end is not None
    assert end.tb is None
    shown_at_once = resume(tmp_path, reset(0), runs(100), stops(300), shown(400, -600, 2_000), runs(700))
    assert shown_at_once is not None
    assert shown_at_once.tb == 1_800  # it ran for 200 ticks


def test_a_tb_that_wraps_is_zero_where_it_wraps() -> None:
    assert zero_ns([Reading(100, (1 << 64) - 50), Reading(160, 10)], HZ) == 150_000
