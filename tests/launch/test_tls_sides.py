"""TLS as a user has it: ``tls-init``, ``run``, two sides in two terminals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from livemig.link.credentials import FILES, make

CONFIG = """
[run]
duration = "400ms"
[machine]
ram = "1MiB"
[migration]
start = "100ms"
transport = "tls"
"""


def livemig(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "livemig", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(CONFIG)
    return path


def test_tls_init_names_what_it_made_and_overwrites_nothing(tmp_path: Path) -> None:
    done = livemig("tls-init", tmp_path / "tls", "--host", "far.example")
    assert done.stdout.splitlines() == [str(tmp_path / "tls" / name) for name in FILES]
    again = livemig("tls-init", tmp_path / "tls")
    assert again.returncode == 2
    assert again.stderr == f"livemig: {tmp_path / 'tls' / FILES[0]}: exists; nothing is overwritten\n"


def test_a_pair_makes_its_own_certificates_or_takes_what_it_is_given(config: Path, tmp_path: Path) -> None:
    own = livemig("run", config, "--json", "--out", tmp_path / "own")
    assert (json.loads(own.stdout)["verdict"], own.returncode) == ("valid", 0), own.stderr
    make(tmp_path / "tls")
    given = ["--set", "migration.tls_dir=tls"]  # beside the configuration
    assert livemig("run", config, *given, "--out", tmp_path / "given").returncode == 0
    (tmp_path / "tls" / "client-key.pem").unlink()
    done = livemig("run", config, *given, "--out", tmp_path / "spoiled")
    assert done.returncode == 2
    assert done.stderr == f"livemig: {tmp_path / 'tls' / 'client-key.pem'}: No such file or directory\n"


@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_side_without_certificates_says_so_before_it_does_anything(config: Path, tmp_path: Path, side: str) -> None:
    where = ["--connect" if side == "source" else "--listen", "tls:localhost:1"]
    done = livemig(side, config, *where, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "tls needs certificates: --tls-dir DIR" in done.stderr
    make(tmp_path / "tls")
    role = "client" if side == "source" else "server"
    (tmp_path / "tls" / f"{role}-cert.pem").write_text("hullo")
    done = livemig(side, config, *where, "--out", tmp_path / "run2", "--tls-dir", tmp_path / "tls")
    assert done.returncode == 2
    assert done.stderr == f"livemig: {tmp_path / 'tls' / role}-cert.pem: is not a certificate in PEM\n"


def test_two_sides_meet_and_a_stranger_before_them_is_turned_away(config: Path, tmp_path: Path) -> None:
    make(tmp_path / "tls")
    make(tmp_path / "other")
    out = ["--out", tmp_path / "run"]
    command = [sys.executable, "-m", "livemig", "destination", config, "--listen", "tls:localhost:0", *out]
    with subprocess.Popen(
        [*map(str, command), "--tls-dir", str(tmp_path / "tls")], stderr=subprocess.PIPE, text=True
    ) as destination:
        assert destination.stderr is not None
        uri = destination.stderr.readline().rpartition(" ")[2].strip()
        stranger = livemig("source", config, "--connect", uri, "--tls-dir", tmp_path / "other", "--out", tmp_path / "x")
        assert stranger.returncode == 3
        assert "the peer's certificate is not accepted" in stranger.stdout
        assert "owner of the guest: source" in stranger.stdout
        assert "turned a peer away: TLS" in destination.stderr.readline()
        right = livemig("source", config, "--connect", uri, "--tls-dir", tmp_path / "tls", *out)
        assert right.returncode == 0, right.stdout
        assert destination.wait(30) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["migration"]["owner"] == "destination"
