"""compare over QEMUs: which there are, and which pairs are run. The engine itself stands aside here."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_engine_binary import fake

from livemig.cli.main import main
from livemig.config.load import load
from livemig.errors import UsageError
from livemig.launch.qemu import versions
from livemig.launch.qemu.versions import of_config, places, run_all_versions

CONFIG = str(Path(__file__).parents[3] / "configs/qemu-mac99.toml")


def test_a_directory_is_an_unpacked_qemu_and_all_else_a_program(tmp_path: Path) -> None:
    assert places([f"new={tmp_path}", "old=qemu-system-ppc"]) == {
        "new": {"qemu_root": str(tmp_path)}, "old": {"binary": "qemu-system-ppc"},
    }  # fmt: skip


@pytest.mark.parametrize("given", [["x"], ["=y"], ["x="], ["a b=c"], ["../x=y"], ["x=1", "x=2"]])
def test_other_forms_are_refused(given: list[str]) -> None:
    with pytest.raises(UsageError, match="must be NAME=PLACE"):
        places(given)


def test_without_names_the_configuration_s_own_are_compared(tmp_path: Path) -> None:
    old, new = fake(tmp_path / "old", "7.2.22"), fake(tmp_path / "new", "10.0.2")
    config = load(CONFIG, [f"engine.source_binary={old}", f"engine.destination_binary={new}"])
    assert {release: place["binary"] for release, place in of_config(config).items()} == {
        "7.2.22": str(old), "10.0.2": str(new),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pairs", "names"),
    [(False, ["a: none", "b: none"]), (True, ["a: none", "b: none", "a to b: none", "b to a: none"])],
)
def test_each_qemu_is_run_and_with_pairs_each_way_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: bool, names: list[str]
) -> None:
    ran = []

    def run(config: Any, config_file: str, out: Path) -> Any:
        ran.append((config.engine.source_binary, config.engine.destination_root, out.name))
        return SimpleNamespace(result=SimpleNamespace(inferred="none", crossed=True))

    monkeypatch.setattr(versions, "run_qemu", run)
    config = load(CONFIG, ["engine.destination_binary=neither", "engine.source_version='9'"])
    qemus = {"a": {"binary": "old"}, "b": {"qemu_root": "/new"}}
    assert list(run_all_versions(config, CONFIG, qemus, pairs, tmp_path / "out")) == names
    whole = [("old", "", "a"), ("", "/new", "b"), ("old", "/new", "a-to-b"), ("", "", "b-to-a")]
    assert ran == whole[: len(names)]


def test_qemus_are_for_a_real_qemu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", CONFIG, "--engine", "emulator", "--pairs", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "livemig: --qemu and --pairs are for --engine qemu\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run", CONFIG, "--check-determinism"], "--check-determinism: a real QEMU does not run twice alike"),
        (["source", CONFIG, "--connect", "unix:nobody"], "a side of its own is livemig's emulator"),
        (["run", CONFIG, "--qemu-root", "/nonexistent"], "no QEMU was unpacked there"),
        (["run", str(Path(CONFIG).with_name("darwin-g3beige.toml")), "--engine", "qemu"], "with engine.kind = 'qemu'"),
    ],
)
def test_what_a_real_qemu_cannot_is_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    fake(tmp_path / "qemu-system-ppc", "10.0.2")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
