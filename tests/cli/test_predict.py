"""``livemig predict``: its table, its JSON, its exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from livemig.cli.main import main

CAPTURES = Path(__file__).parents[1] / "fixtures/qemu"
PENDING = CAPTURES / "q100-mac99-stopcopy-pending"


def run(*arguments: object) -> int:
    try:
        return main(["predict", *map(str, arguments)])
    except SystemExit as end:  # argparse
        return int(end.code or 0)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A capture that may be spoiled; gives its run.toml."""
    shutil.copytree(PENDING, tmp_path / "capture")
    return tmp_path / "capture" / "run.toml"


def test_the_table_says_by_which_rule_what_and_how_noisy_the_host_was(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(PENDING / "run.toml") == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "mac99 (edge), QEMU 10.0.2, timebase 25,000,000 Hz: by pending-dropped and tb-write-dropped"
    (decr,) = [line.split() for line in lines if line.startswith("DECR at the restore")]
    assert decr[:10] == ["DECR", "at", "the", "restore,", "CPU", "0", "-93,123", "-93,123", "0", "agrees"]
    assert "92 other interrupts in the logs were raised 23 us (median) to 5,204 us (worst)" in lines[-2]
    assert lines[-1].endswith("they agree")
    assert said.err == ""


def test_json_has_every_quantity_with_both_values_and_the_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(PENDING / "run.toml", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["agrees"] is True
    assert result["strategy"] == {"decr": "pending-dropped", "tb": "tb-write-dropped"}
    assert (result["machine"], result["qemu_version"], result["trigger"]) == ("mac99", "10.0.2", "edge")
    assert result["timebase_hz"] == [25_000_000, 25_000_000]
    assert result["noise"]["raises"] == 92
    by_name = {row["quantity"]: row for row in result["quantities"]}
    assert by_name["TB at the restore"] == {
        "quantity": "TB at the restore", "cpu": 0, "unit": "ticks", "predicted": 37_607_561, "qemu": 37_607_561,
        "difference": 0, "difference_us": 0.0, "noise": 0, "noise_us": 0.0, "agrees": True,
        "note": "as the monitor showed it",
    }  # fmt: skip
    assert by_name["first interrupt"]["predicted"] == (1 << 32) - 93_123
    assert by_name["first interrupt"]["qemu"] == "none in 1.513 s"


def test_where_they_differ_it_says_so_and_ends_with_1(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy.write_text(copy.read_text().replace('"10.0.2"', '"7.2.22"'))
    assert run(copy) == 1
    said = capsys.readouterr().out
    assert "DIFFERS" in said
    assert said.splitlines()[-1].endswith("differ")
    assert run(copy, "--json") == 1
    assert json.loads(capsys.readouterr().out)["agrees"] is False


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"10.0.2"', '"ten"', "qemu_version: 'ten' is not a version of QEMU such as 7.2.22"),
        ("25000000\n", "-3\n", "timebase_hz: -3, needed: an integer from 1 to 2^40"),
        ('"mac99"', "99", "machine: 99, needed: a string"),
        ('"tcg"', '"kvm"', "accelerator: 'kvm', needed: 'tcg', the one whose rules are known"),
        ("source_msr_ee_at_stop = 0", "source_msr_ee_at_stop = 7", "source_msr_ee_at_stop: 7, needed: 0 or 1"),
        ("[run]", "[run", "not TOML"),
    ],
)
def test_a_wrong_key_is_one_line_and_exit_code_2(
    old: str, new: str, says: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = copy.read_text()
    assert old in text
    copy.write_text(text.replace(old, new, 1))
    assert run(copy) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(f"livemig: {copy}: ")
    assert says in line


@pytest.mark.parametrize("missing", ["run.toml", "source.log.gz", "destination.log.gz"])
def test_a_missing_file_is_named(missing: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy.with_name(missing).unlink()
    assert run(copy) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert missing.removesuffix(".gz") in line


def test_a_log_that_is_no_qemus_is_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy.with_name("source.log").write_text("hello\n")
    assert run(copy) == 2
    assert "not one of QEMU's trace events" in capsys.readouterr().err


def test_a_directory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
