"""Every key takes exactly its range, and any configuration survives being written."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.config.keys import leaves, tables
from livemig.config.load import load, validated
from livemig.config.migration import TIME_POLICY
from livemig.config.model import Config
from livemig.config.presets import STRATEGIES
from livemig.config.quantity import Quantity
from livemig.config.section import notation
from livemig.config.timers import BookE, Ppc40x
from livemig.config.write import toml_text
from livemig.errors import ConfigError

US, MS, S, H = 10**3, 10**6, 10**9, 3600 * 10**9
INT64_MAX = 9_223_372_036_854_775_807

# key: base unit, lowest, highest
RANGES = {
    "run.seed": ("", 0, INT64_MAX),
    "run.duration": ("ns", MS, H),
    "machine.cpus": ("", 1, 64),
    "machine.timebase_hz": ("Hz", 1, 10**9),
    "machine.decrementer_bits": ("", 32, 56),
    "machine.hdecr_bits": ("", 0, 56),
    "machine.booke.least_interval": ("ns", 0, S),
    "guest.embedded.period": ("ns", US, H),
    "guest.embedded.first": ("ns", 0, H),
    "guest.embedded.fit_bit": ("", 0, 63),
    "guest.embedded.watchdog_bit": ("", 0, 63),
    "guest.embedded.pet_every": ("", 1, 10**6),
    "guest.embedded.pets_for": ("ns", 0, H),
    "guest.hypervisor.slice": ("ns", US, H),
    "guest.hypervisor.nap_every": ("ns", 0, H),
    "guest.handler_time": ("ns", 0, S),
    "guest.arm_delay": ("ns", 0, S),
    "guest.boot_interval": ("ns", 0, S),
    "guest.masked_every": ("ns", 0, H),
    "guest.masked_for": ("ns", 0, H),
    "guest.sets_timebase": ("", 0, 2**64 - 1),
    "guest.darwin.min": ("ns", US, H),
    "guest.darwin.max": ("ns", US, H),
    "guest.linux.tick": ("ns", US, H),
    "guest.linux.idle_per_mille": ("", 0, 1000),
    "guest.linux.decrementer_max": ("", 1, INT64_MAX),
    "guest.periodic.period": ("ns", US, H),
    "guest.memory.dirty_rate": ("B/s", 0, 64 * 2**30),
    "guest.memory.working_set_percent": ("", 1, 100),
    "guest.memory.hot_percent": ("", 1, 100),
    "guest.memory.hot_share_percent": ("", 0, 100),
    "guest.memory.filled_percent": ("", 0, 100),
    "migration.start": ("ns", 0, H),
    "migration.downtime": ("ns", 0, H),
    "migration.save_step": ("ns", 0, S),
    "migration.load_step": ("ns", 0, S),
    "migration.downtime_limit": ("ns", 0, 2000 * S),
    "migration.max_passes": ("", 1, 1000),
    "migration.hops": ("", 1, 10_000),
    "migration.hop_interval": ("ns", MS, H),
    "migration.connect_timeout": ("ns", MS, H),
    "migration.max_bandwidth": ("B/s", 0, 128 * 2**30),
    "migration.avail_switchover_bandwidth": ("B/s", 0, 128 * 2**30),
    "migration.downtime_steps": ("", 1, 1000),
    "migration.downtime_delay": ("ns", US, H),
    "migration.ramp_start": ("ns", 0, 2000 * S),
    "migration.ramp_after": ("", 0, 1000),
    "migration.ramp_step": ("ns", 0, 2000 * S),
    "migration.ramp_cooldown": ("ns", US, H),
    "migration.ramp_limit": ("ns", 0, 2000 * S),
    "migration.stall_passes": ("", 0, 1000),
    "migration.throttle_trigger_threshold": ("", 1, 100),
    "migration.cpu_throttle_initial": ("", 1, 99),
    "migration.cpu_throttle_increment": ("", 1, 99),
    "migration.max_cpu_throttle": ("", 1, 99),
    "migration.vcpu_dirty_limit": ("B/s", 4096, 64 * 2**30),
    "migration.cancel_at": ("ns", 0, H),
    "migration.xbzrle_cache_size": ("B", 4096, 64 * 2**30),
    "migration.zstd_level": ("", 1, 20),
    "migration.postcopy_start": ("", 0, 1000),
    "migration.postcopy_at": ("ns", 0, H),
    "migration.max_postcopy_bandwidth": ("B/s", 0, 128 * 2**30),
    "migration.prepaging": ("", 0, 4096),
    "migration.recover_after": ("ns", 0, H),
    "link.cut_at": ("ns", 0, H),
    "link.cut_again_at": ("ns", 0, H),
    "migration.peer_timeout": ("ns", 100 * MS, H),
    "migration.multifd_channels": ("", 0, 16),
    "link.bandwidth": ("bit/s", 1, 10**12),
    "link.latency": ("ns", US, 60 * S),
    "link.return_latency": ("ns", 0, 60 * S),
    "link.jitter": ("ns", 0, 60 * S),
    "host.clock_skew": ("ns", -(10**6) * H, 10**6 * H),
    "host.source.tick_hz": ("Hz", 1, 10**10),
    "host.source.tick_origin": ("", 0, INT64_MAX),
    "host.source.clock_origin": ("ns", -(10**6) * H, 10**6 * H),
    "host.destination.tick_hz": ("Hz", 1, 10**10),
    "host.destination.tick_origin": ("", 0, INT64_MAX),
    "host.destination.clock_origin": ("ns", -(10**6) * H, 10**6 * H),
    "engine.masked_loops": ("", 0, 2**32 - 1),
    "engine.start_timeout": ("ns", S, H),
    "host.destination.timebase_hz": ("Hz", 0, 10**9),
    "checks.late_tolerance": ("ns", 0, H),
    "checks.lost_after": ("ns", US, H),
}
CHOICES = {
    "run.clock": ("virtual", "wall"),
    "machine.model": ("g3beige", "mac99", "pseries", "powernv", "ppc405", "e500"),
    "machine.prealloc": (True, False),
    "machine.hdecr_trigger": ("edge", "level"),
    "machine.hdecr_in_nap": ("discarded", "pending"),
    "machine.booke.intervals": ("e500", "440"),
    "machine.booke.guard": ("free", "acknowledged", "pending"),
    "guest.embedded.order": ("enable-first", "start-first"),
    "guest.embedded.watchdog_reset": ("none", "core", "chip", "system"),
    "guest.embedded.bark": ("pet", "wait", "disarm"),
    "guest.hypervisor.guest": ("darwin", "linux", "periodic"),
    "machine.trigger": ("edge", "level"),
    "machine.small_values": ("wait", "immediate"),
    "machine.underflow_at": ("zero", "minus-one"),
    "machine.reset_decrementer": ("clock", "expired", "raised", "zero"),
    "machine.wrap": ("ignored", "acts"),
    "guest.kind": ("darwin", "linux", "periodic", "trace", "embedded", "hypervisor", "script"),
    "guest.darwin.distribution": ("uniform", "skewed"),
    "guest.periodic.rearm": ("drift-free", "fixed"),
    "guest.trace.repeat": (True, False),
    "guest.memory.locality": ("uniform", "hot", "sequential"),
    "migration.strategy": STRATEGIES,
    "migration.convergence": ("static", "stepped", "ramp"),
    "migration.auto_converge": (True, False),
    "migration.cpu_throttle_tailslow": (True, False),
    "migration.postcopy_ram": (True, False),
    "migration.postcopy_preempt": (True, False),
    "migration.dirty_limit": (True, False),
    "migration.xbzrle": (True, False),
    "migration.compression": ("none", "zstd"),
    "migration.pause_before_switchover": (True, False),
    "migration.machine_version": ("7.2", "8.2", "newest"),
    "migration.frequency_policy": ("refuse", "convert"),
    "migration.transport": ("unix", "tcp", "tls", "file"),
    "engine.kind": ("emulator", "qemu"),
    "engine.method": ("live", "stop-and-copy"),
    "engine.at_stop": ("any", "none", "raised", "taken"),
    "checks.twin": (True, False),
}
BOTH = (True, False)
CHOICES |= {
    f"machine.ppc40x.{name}": BOTH for name, field in leaves(Ppc40x).items() if field.annotation is bool
} | {f"machine.booke.{name}": BOTH for name, field in leaves(BookE).items() if field.annotation is bool}
CHOICES |= {"guest.embedded.auto_reload": BOTH, "guest.embedded.fit": BOTH}
COMPANIONS = {
    "ppc405": {"guest.kind": "embedded"}, "e500": {"guest.kind": "embedded"},
    "embedded": {"machine.model": "ppc405"}, "hypervisor": {"machine.model": "powernv"},
}  # fmt: skip
TEXTS = {
    "engine.qemu_root", "engine.source_root", "engine.destination_root", "engine.source_version",
    "engine.destination_version", "engine.kernel", "engine.initrd", "engine.append", "engine.arguments",
    "migration.tls_dir",
} | {f"engine.{side}binary" for side in ("", "source_", "destination_")}  # fmt: skip
OTHERS = {"run.rate", "machine.ram", "guest.trace.file", "guest.script.lines", "migration.time_policy"} | TEXTS

# In a configuration the left one must stay below the right one.
ORDERED = (
    ("migration.start", "run.duration"),
    ("guest.arm_delay", "guest.handler_time"),
    ("guest.masked_for", "guest.masked_every"),
    ("guest.darwin.min", "guest.darwin.max"),
    ("migration.ramp_start", "migration.ramp_limit"),
    ("migration.cpu_throttle_initial", "migration.max_cpu_throttle"),
)


def written(key, number):
    unit = RANGES[key][0]
    return f"{number}{unit}" if unit else number


def nested(values):
    """Dotted keys as tables in tables."""
    top = {}
    for key, value in values.items():
        *parents, name = key.split(".")
        table = top
        for parent in parents:
            table = table.setdefault(parent, {})
        table[name] = value
    return top


def problem(values):
    """What is wrong with ``values``, or None."""
    try:
        validated(nested(values), "test.toml")
    except ConfigError as error:
        return error
    return None


def in_range(key, value):
    error = problem({key: value})
    return error is None or error.key != key or "out of range" not in error.problem


def test_every_key_is_covered_here():
    known = {f"{table}.{key}" for table, model in tables(Config) for key in leaves(model)}
    assert {key for key in known if not key.startswith("fault.")} == RANGES.keys() | CHOICES.keys() | OTHERS


FAULTS = {
    f"{table}.{key}": quantity
    for table, model in tables(Config)
    if table.startswith("fault.")
    for key, field in leaves(model).items()
    if isinstance(quantity := notation(field), Quantity)
}


@pytest.mark.parametrize("key", FAULTS)
def test_a_quantity_of_a_fault_has_the_range_that_it_says(key):
    low, high = (FAULTS[key].dimension.parse(end) for end in (FAULTS[key].low, FAULTS[key].high))
    assert in_range(key, FAULTS[key].dimension.format(low))
    assert in_range(key, FAULTS[key].dimension.format(high))
    assert not in_range(key, FAULTS[key].dimension.format(low - 1))
    assert not in_range(key, FAULTS[key].dimension.format(high + 1))


@pytest.mark.parametrize("key", RANGES)
def test_both_ends_of_a_range_are_in_it_and_the_values_beyond_are_not(key):
    _, low, high = RANGES[key]
    assert in_range(key, written(key, low))
    assert in_range(key, written(key, high))
    assert not in_range(key, written(key, low - 1))
    assert not in_range(key, written(key, high + 1))


@pytest.mark.parametrize("key", RANGES)
@pytest.mark.parametrize("value", [1.5, True, "many", [1], {"a": 1}])
def test_a_value_of_another_type_is_refused(key, value):
    error = problem({key: value})
    assert error is not None
    assert error.key == key
    assert error.allowed


@pytest.mark.parametrize("key", CHOICES)
def test_a_choice_takes_its_names_only_and_the_error_lists_them(key):
    for choice in CHOICES[key]:
        companion = COMPANIONS.get(choice, {}) if key in ("machine.model", "guest.kind") else {}
        error = problem({key: choice, "guest.trace.file": "/log", "guest.script.lines": "wait 1", **companion})
        assert error is None
    error = problem({key: "nonesuch"})
    assert error.key == key
    assert error.allowed == ", ".join(str(choice).lower() for choice in CHOICES[key])


@pytest.mark.parametrize(
    ("ram", "wrong"),
    [("1MiB", None), ("64GiB", None), ("1020KiB", "out of range"), ("65GiB", "out of range"),
     ("1025KiB", "not a multiple of 4KiB"), ("1028KiB", None)],
)  # fmt: skip
def test_ram_is_whole_pages(ram, wrong):
    error = problem({"machine.ram": ram})
    assert (error is None) if wrong is None else (wrong in error.problem)


@pytest.mark.parametrize(
    ("given", "kept", "at_most_ns"),
    [("advance", "advance", None), ("freeze", "freeze", 0),
     ("advance-at-most:1500ms", "advance-at-most:1.5s", 15 * 10**8), ("advance-at-most:0ns", "advance-at-most:0ns", 0),
     ("advance-at-most:1h", "advance-at-most:1h", 36 * 10**11)],
)  # fmt: skip
def test_a_time_policy_may_have_a_time_with_its_unit(given, kept, at_most_ns):
    policy = validated({"migration": {"time_policy": given}}, "").migration.time_policy
    assert (policy, TIME_POLICY.at_most_ns(policy)) == (kept, at_most_ns)


@pytest.mark.parametrize(
    ("given", "what"),
    [("jump", "'jump' is not one of the policies"), (1, "is not one of the policies"), (True, "is not one of"),
     ("advance-at-most", "is not one of the policies"), ("advance-at-most:", "is not a number with a unit"),
     ("advance-at-most:1", "has no unit of time"), ("advance-at-most:1.5ns", "is not a whole number of ns"),
     ("advance-at-most:-1s", "is out of range"), ("advance-at-most:2h", "is out of range")],
)  # fmt: skip
def test_another_time_policy_is_one_line(given, what):
    error = problem({"migration.time_policy": given})
    assert error.key == "migration.time_policy"
    assert what in error.problem
    assert error.allowed == "advance, freeze, advance-at-most:TIME with TIME from 0ns to 1h"


@pytest.mark.parametrize(
    ("rate", "fraction"),
    [(1, Fraction(1)), (0.001, Fraction(1, 1000)), (0.1, Fraction(1, 10)), (1000, Fraction(1000))],
)
def test_the_rate_is_an_exact_fraction(rate, fraction):
    assert validated({"run": {"rate": rate}}, "").run.rate == fraction


@pytest.mark.parametrize("rate", [0, -1, 0.0009, 1000.001, 0.0015, float("nan"), float("inf"), True, "1"])
def test_a_rate_out_of_range_or_too_fine_is_refused(rate):
    assert problem({"run.rate": rate}).key == "run.rate"


def names():
    letters = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
    return st.text(letters, min_size=1).filter(lambda name: name not in (".", ".."))


PAIRED = {key for pair in ORDERED for key in pair} | {
    "guest.linux.decrementer_max", "machine.decrementer_bits", "guest.kind", "guest.trace.file",
    "guest.script.lines",
    "link.cut_at", "link.cut_again_at",
    "migration.cancel_at", "migration.auto_converge", "migration.dirty_limit", "machine.model", "machine.hdecr_bits",
    "machine.timebase_hz", "guest.embedded.period", "guest.embedded.first", "guest.embedded.fit_bit",
    "guest.embedded.watchdog_bit", "guest.hypervisor.slice",
    "migration.xbzrle", "migration.transport", "migration.multifd_channels", "migration.hops", "migration.postcopy_ram",
}  # fmt: skip


def agree_on_timers(numbers, choices):
    """Of model and guest the model decides; what has to fit into a timer does."""
    kind, embedded = choices["guest.kind"], choices["machine.model"] in ("ppc405", "e500")
    if kind != "script" and embedded != (kind == "embedded"):
        choices["guest.kind"] = "embedded" if embedded else "darwin"
    numbers["machine.hdecr_bits"] = max(numbers["machine.hdecr_bits"], 32)
    numbers["guest.embedded.fit_bit"], numbers["guest.embedded.watchdog_bit"] = 16, 20
    longest = (2**31 - 1) * S // numbers["machine.timebase_hz"]
    for key in ("guest.embedded.period", "guest.embedded.first", "guest.hypervisor.slice"):
        numbers[key] = min(numbers[key], longest)
    return {"decrementer_bits", "trigger", "small_values", "underflow_at", "reset_decrementer", "hdecr_bits",
            "wrap"} if (
        embedded) else set()


@st.composite
def configurations(draw):
    """Consistent ones: whatever may be at odds is given, of the rest any part is left to defaults."""
    numbers = {key: draw(st.integers(low, high)) for key, (_, low, high) in RANGES.items()}
    for low, high in ORDERED:
        numbers[low], numbers[high] = sorted((numbers[low], numbers[high]))
    numbers["migration.start"] = min(numbers["migration.start"], numbers["run.duration"] - 1)
    if numbers["migration.cancel_at"] <= numbers["migration.start"]:
        numbers["migration.cancel_at"] = 0
    if numbers["link.cut_again_at"] <= numbers["link.cut_at"]:
        numbers["link.cut_again_at"] = 0
    numbers["migration.xbzrle_cache_size"] = 1 << draw(st.integers(12, 36))
    numbers["guest.masked_for"] = max(0, min(numbers["guest.masked_for"], numbers["guest.masked_every"] - 1))
    most = 2 ** (numbers["machine.decrementer_bits"] - 1) - 1
    numbers["guest.linux.decrementer_max"] = min(numbers["guest.linux.decrementer_max"], most)
    chosen = {key: draw(st.sampled_from(choices)) for key, choices in CHOICES.items()}
    absent = agree_on_timers(numbers, chosen)
    values = {key: written(key, number) for key, number in numbers.items()} | chosen
    values = {key: value for key, value in values.items() if key.removeprefix("machine.") not in absent}
    if values["migration.transport"] == "file" or values["migration.postcopy_ram"]:
        values["migration.hops"] = 1
    if values["migration.xbzrle"] or values["migration.transport"] == "file":
        values["migration.multifd_channels"] = 0
    values["migration.dirty_limit"] &= not values["migration.auto_converge"]
    at_most = draw(st.integers(0, 36 * 10**11))
    values["migration.time_policy"] = draw(st.sampled_from(["advance", "freeze", f"advance-at-most:{at_most}ns"]))
    values["run.rate"] = draw(st.integers(1, 10**6)) / 1000
    values["machine.ram"] = f"{4 * draw(st.integers(2**8, 2**24))}KiB"
    values["guest.trace.file"] = "/logs/" + draw(names())
    values["guest.script.lines"] = draw(st.sampled_from(["wait 1", "ee off\nwait 3ms # and so on; ee on"]))
    values |= {key: "/" + draw(names()) for key in sorted(TEXTS)}
    left_out = draw(st.sets(st.sampled_from(sorted(values.keys() - PAIRED))))
    return {key: value for key, value in values.items() if key not in left_out}


@given(values=configurations())
def test_what_is_written_loads_to_an_equal_configuration(values, tmp_path_factory):
    config = validated(nested(values), "")
    file = tmp_path_factory.getbasetemp() / "written.toml"
    file.write_text(toml_text(config), encoding="utf-8")
    assert load(file) == config
    assert validated(json.loads(json.dumps(config.as_toml_values())), "") == config
