"""The scenarios that ship, and the documentation."""

import re
from pathlib import Path

import pytest

from livemig.config.load import load
from livemig.config.reference import reference
from livemig.errors import ConfigError

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted((ROOT / "configs").glob("*.toml"))
DOCUMENTATION = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
INTRODUCTION, MARK, GENERATED = DOCUMENTATION.partition(
    "<!-- From here on generated, by: python -m livemig.config.reference -->\n\n"
)


def test_the_scenarios_that_the_documentation_promises_are_there():
    assert {path.stem for path in SCENARIOS} >= {
        "darwin-g3beige", "darwin-mac99", "linux-pseries", "replay-linux-pseries", "idle-long-decrementer",
        "high-dirty-rate",
    }  # fmt: skip


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_loads_and_opens_with_what_it_shows(path):
    load(path)
    comment = re.match(r"(?:# .+\n)+", path.read_text(encoding="utf-8"))
    assert comment is not None
    assert comment[0].count("\n") in (2, 3)


def test_what_the_scenarios_are_about():
    def scenario(name):
        return load(ROOT / "configs" / f"{name}.toml")

    assert scenario("darwin-g3beige").migration.downtime == 500_000_000
    assert scenario("darwin-mac99").machine.timebase_hz == 25_000_000
    assert scenario("linux-pseries").machine.trigger == "level"
    replayed = Path(scenario("replay-linux-pseries").guest.trace.file)
    assert replayed == ROOT / "configs" / "traces" / "linux-pseries-7.2-live.source.log.gz"
    assert scenario("idle-long-decrementer").guest.linux.decrementer_max == 2**55 - 1
    overloaded = scenario("high-dirty-rate")
    assert overloaded.guest.memory.dirty_rate * 8 > overloaded.link.bandwidth


def test_the_tables_in_the_documentation_are_those_of_the_models():
    assert MARK
    assert "|" not in re.sub(r"```.*?```", "", INTRODUCTION, flags=re.DOTALL)
    assert reference() == GENERATED, "run: python -m livemig.config.reference, and put it into docs/config.md"


def test_every_key_has_a_description():
    for row in GENERATED.splitlines():
        if row.startswith("|"):
            assert all(cell.strip() for cell in row.strip("|").split("|")), row


def test_the_examples_in_the_documentation_work(tmp_path):
    example = re.search(r"```toml\n(.*?)```", INTRODUCTION, re.DOTALL)
    (tmp_path / "example.toml").write_text(example[1], encoding="utf-8")
    form, *overrides = re.findall(r"--set (\w[\w.]+=[\w/]+)", INTRODUCTION.split("**Errors.**")[0])
    assert form == "section.key=value"
    assert len(overrides) == 3
    config = load(tmp_path / "example.toml", overrides)
    assert (config.machine.model, config.machine.cpus, config.migration.downtime) == (
        "pseries",
        4,
        2_000_000_000,
    )


def test_the_errors_in_the_documentation_are_those_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()

    def message(text, *overrides):
        (tmp_path / "configs" / "mine.toml").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load("configs/mine.toml", overrides)
        return str(caught.value)

    printed = [
        message("[machine]\ncpu = 2\n"),
        message("", "run.duration=2hours"),
        message("[migration]\nstart = '3s'\n"),
    ]
    assert "\n".join(printed) in INTRODUCTION
