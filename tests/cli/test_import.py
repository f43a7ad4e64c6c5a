"""``livemig import qemu``: what it prints, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from livemig.cli.main import main

CAPTURE = Path(__file__).parents[1] / "fixtures/qemu/linux-pseries-10.0-stop3"
LOGS = [str(CAPTURE / f"{side}.log.gz") for side in ("source", "destination")]


def run(*arguments: object) -> int:
    try:
        return main(["import", "qemu", *map(str, arguments)])
    except SystemExit as end:  # argparse
        return int(end.code or 0)


def test_it_says_what_it_rests_on_and_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(*LOGS, "--timebase-hz", "512MHz", "--run-toml", CAPTURE / "run.toml", "--out", out) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        f"12,000 lines of 2 CPUs; now: livemig analyze {out}",
        "  stopped: run.toml",
        "  resumed: run.toml",
        "  interrupts before the first arm: 2",
    ]
    assert said.err == ""


def test_json_is_one_object_with_the_counts_and_the_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*LOGS, "--timebase-hz", "512_000_000".replace("_", ""), "--out", tmp_path / "out", "--json") == 0
    account = json.loads(capsys.readouterr().out)
    assert account["run_dir"] == str(tmp_path / "out")
    assert (account["lines"], account["not_understood"], account["first_places"]) == (12_000, 0, [])


def test_lines_not_understood_take_one_line_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "destination.log"
    log.write_text("100@1795376167.401362:ppc_tb_load tb 0x00000001fc51d6cb\nqemu: warning\n100@17953")
    assert run(LOGS[0], log, "--timebase-hz", "512MHz", "--out", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert said.err == "livemig: 2 lines not understood; first: destination.log:2, destination.log:3\n"
    assert "  resumed: not in the logs" in said.out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([LOGS[0], "absent.log", "--timebase-hz", "512MHz"], "absent.log: No such file or directory"),
        ([LOGS[0], __file__, "--timebase-hz", "512MHz"], "not one of QEMU's trace events"),
        ([*LOGS, "--timebase-hz", "0"], "'0Hz' is out of range"),
        ([*LOGS, "--timebase-hz", "fast"], "'fast' is not a number with a unit"),
        ([*LOGS, "--timebase-hz", "512MHz", "--late-tolerance", "20"], "'20' has no unit of time"),
        ([*LOGS, "--timebase-hz", "25MHz", "--run-toml", str(CAPTURE / "run.toml")], "timebase_hz is 512000000"),
        ([*LOGS], "required: --timebase-hz"),
    ],
)
def test_what_is_wrong_takes_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    assert run(*arguments, "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
