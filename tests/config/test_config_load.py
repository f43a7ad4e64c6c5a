"""Files and overrides: what is read, and the one error when something is wrong."""

from fractions import Fraction

import pytest

from livemig.config.load import load
from livemig.errors import ConfigError


@pytest.fixture
def scenario(tmp_path):
    """Writes a scenario; its path."""

    def write(text=""):
        file = tmp_path / "scenario.toml"
        file.write_text(text, encoding="utf-8")
        return str(file)

    return write


def refusal(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return caught.value


def test_an_empty_file_is_all_defaults(scenario):
    assert load(scenario()).run.duration == 2_000_000_000


def test_keys_of_the_file_and_overrides_come_together_the_last_override_winning(scenario):
    file = scenario("[machine]\ncpus = 2\nram = '1MiB'\n")
    config = load(file, ["machine.cpus=3", "machine.cpus=4", "guest.memory.dirty_rate=0MiB/s"])
    assert (config.machine.cpus, config.machine.ram, config.guest.memory.dirty_rate) == (4, 2**20, 0)


@pytest.mark.parametrize(
    ("override", "get", "value"),
    [
        ("run.seed=7", lambda c: c.run.seed, 7),
        ("run.seed = 0x10 ", lambda c: c.run.seed, 16),
        ("run.clock=wall", lambda c: c.run.clock, "wall"),
        ('run.clock="wall"', lambda c: c.run.clock, "wall"),
        ("run.rate=0.1", lambda c: c.run.rate, Fraction(1, 10)),
        ("checks.twin=true", lambda c: c.checks.twin, True),
        ("host.source.tick_hz=1GHz", lambda c: c.host.source.tick_hz, 10**9),
        ("host.clock_skew=-3ms", lambda c: c.host.clock_skew, -3_000_000),
        ("guest.trace.file=/a=b.log", lambda c: c.guest.trace.file, "/a=b.log"),
        ("guest.trace.file='/123'", lambda c: c.guest.trace.file, "/123"),
        ("guest.trace.file=/2024-01-01", lambda c: c.guest.trace.file, "/2024-01-01"),
    ],
)
def test_an_override_is_a_toml_scalar_or_else_a_text(scenario, override, get, value):
    assert get(load(scenario(), [override])) == value


def test_the_trace_is_found_beside_the_configuration_wherever_one_stands(scenario, tmp_path, monkeypatch):
    file = scenario("[guest.trace]\nfile = 'traces/../log.gz'\n")
    assert load(file).guest.trace.file == str(tmp_path / "log.gz")
    assert load(file, ["guest.trace.file=x.log"]).guest.trace.file == str(tmp_path / "x.log")
    monkeypatch.chdir(tmp_path)
    assert load("scenario.toml").guest.trace.file == str(tmp_path / "log.gz")


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("[machine]\ncpu = 2", "machine.cpu", "machine.cpus"),
        ("[machin]\ncpus = 2", "machin", "machine"),
        ("[run]\ncpus = 2", "run.cpus", "machine.cpus"),
        ("seed = 2", "seed", "run.seed"),
        ("[run]\ntick_hz = '1GHz'", "run.tick_hz", "host.source.tick_hz"),
        ("[guest.memory]\ndirtyrate = '1MiB/s'", "guest.memory.dirtyrate", "guest.memory.dirty_rate"),
        ("[host.sources]\n", "host.sources", "host.source"),
        ('[run]\n"se.ed" = 2', 'run."se.ed"', "run.seed"),
        ('[run]\n"seed\\n" = 2', 'run."seed\\n"', "run.seed"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(scenario, text, key, nearest):
    file = scenario(text)
    error = refusal(file)
    assert (error.file, error.key) == (file, key)
    assert error.problem == f"unknown key; did you mean {nearest}?"


def test_an_unknown_key_lists_those_of_its_table(scenario):
    allowed = "bandwidth, latency, return_latency, jitter, cut_at, cut_again_at"
    assert refusal(scenario("[link]\nloss = 1")).allowed == allowed


@pytest.mark.parametrize(
    ("text", "key", "problem", "allowed"),
    [
        ("[machine]\ncpus = 65", "machine.cpus", "65 is out of range", "1 to 64"),
        ("[machine]\ncpus = 2.0", "machine.cpus", "2.0 is not a whole number", "1 to 64"),
        ("[checks]\ntwin = 1", "checks.twin", "1 is not true or false", "true, false"),
        ("[guest.trace]\nfile = 1", "guest.trace.file", "1 is not a text", ""),
        ('[run]\nclock = "wal"', "run.clock", "'wal' is not one of the names", "virtual, wall"),
        (
            "[machine]\nmodel = [1]",
            "machine.model",
            "an array is not one of the names",
            "g3beige, mac99, pseries, powernv, ppc405, e500",
        ),
        ("run = 1", "run", "1 is not a table", "a table of seed, duration, clock, rate"),
        ("[[link]]", "link", "an array is not a table",
         "a table of bandwidth, latency, return_latency, jitter, cut_at, cut_again_at"),
        (
            "[run]\nduration = '2 hours'",
            "run.duration",
            "'2 hours' has no unit of time",
            "1ms to 1h, in ns, us, ms, s, min, h",
        ),
        (
            "[run]\nduration = 2",
            "run.duration",
            "2 is not a text with a unit",
            "1ms to 1h, in ns, us, ms, s, min, h",
        ),
        (
            "[machine]\nram = '64MB'",
            "machine.ram",
            "'64MB' has no unit of size",
            "1MiB to 64GiB, a multiple of 4KiB, in B, KiB, MiB, GiB",
        ),
        ("[run]\nrate = nan", "run.rate", "NaN is out of range", "0.001 to 1000, at most three decimals"),
        (
            "[run]\nrate = 1e999999999",
            "run.rate",
            "1E+999999999 is out of range",
            "0.001 to 1000, at most three decimals",
        ),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(scenario, text, key, problem, allowed):
    file = scenario(text)
    error = refusal(file)
    assert (error.file, error.key, error.problem, error.allowed) == (file, key, problem, allowed)


def test_the_first_problem_in_the_file_is_the_one_told(scenario):
    assert refusal(scenario("[guest]\nkin = 1\n[run]\nseed = 'x'\n")).key == "guest.kin"
    assert refusal(scenario("[run]\nseed = 'x'\n[guest]\nkin = 1\n")).key == "run.seed"
    assert refusal(scenario("[run]\nrate = 0\nsed = 1\nseed = -1\n")).key == "run.rate"


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("run.seed=x", "run.seed"),
        ("run.sed=1", "run.sed"),
        ("run=1", "run"),
        ("run.seed.deeper=1", "run.seed"),
        ("nonesuch.deeper.still=1", "nonesuch"),
        # Not two keys: a text with a line break, and no clock.
        ("run.clock='wall'\nrate=2", "run.clock"),
        # The file's start = 1s was right until the override.
        ("run.duration=500ms", "run.duration"),
    ],
)
def test_an_override_takes_the_blame_for_its_key_only(scenario, override, key):
    error = refusal(scenario("[migration]\nstart = '1s'\n"), "machine.cpus=2", override)
    assert (error.file, error.key) == ("--set", key)
    wrong = scenario("[link]\nlatency = 5\n")
    assert refusal(wrong, "link.jitter=1ms").file == wrong


@pytest.mark.parametrize(
    "override", ["", "run.seed", "=1", ".seed=1", "run.=1", "run..seed=1", '"run".seed=1', "a\nb=1"]
)
def test_what_is_no_override_is_refused(scenario, override):
    error = refusal(scenario(), override)
    assert error.file == "--set"
    assert "section.key=value" in error.problem


def test_a_missing_file_a_directory_and_text_that_is_not_utf8_are_refused(tmp_path):
    assert refusal(tmp_path / "none.toml").problem == "cannot be read: No such file or directory"
    assert refusal(tmp_path).problem == "cannot be read: Is a directory"
    (tmp_path / "latin.toml").write_bytes("# é".encode("latin-1"))
    assert refusal(tmp_path / "latin.toml").problem == "not UTF-8 at byte 2"


@pytest.mark.parametrize(
    ("text", "line"), [("[run\n", 1), ("[run]\nseed = 1\nseed = 2\n", 3), ("[run]\n\n\nseed = \n", 4)]
)
def test_a_syntax_error_names_its_line(scenario, text, line):
    error = refusal(scenario(text))
    assert error.problem.startswith("not TOML: ")
    assert f"line {line}," in error.problem


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 10_000,
        "x = " + "9" * 10_000,
        "a" + ".a" * 3_000 + " = 1",
        "[run]\nseed = 0x" + "f" * 10_000,
        "[run]\nduration = 0x" + "f" * 10_000,
        "[run]\nrate = 0x" + "f" * 10_000,
        "[run]\nduration = '" + "9" * 10_000 + "ns'",
        "[run]\nclock = '" + "w" * 10_000 + "'",
    ],
)
def test_hostile_files_end_in_the_same_short_error(scenario, text):
    assert len(str(refusal(scenario(text)))) < 500
