"""Which QEMU is taken, and what is said where there is none. The QEMUs here are shell scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemig.config.engine import Engine
from livemig.errors import UsageError
from livemig.launch.qemu.binary import Binary, binary_of, find, frequencies
from livemig.launch.qemu_versions import Version


def fake(path: Path, version: str = "7.2.22 (Debian 1:7.2)") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "QEMU emulator version {version}"\n')
    path.chmod(0o755)
    return path


def test_where_there_is_none_one_line_says_which_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError) as caught:
        binary_of(Engine(), "source", "pseries")
    said = str(caught.value)
    assert said.startswith("qemu-system-ppc64: not found")
    assert said.endswith("package qemu-system-ppc")
    assert "\n" not in said
    assert caught.value.exit_code == 2


def test_a_program_of_the_path_and_its_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "qemu-system-ppc", "10.0.2 (Debian 1:10.0.2+ds)")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert find("qemu-system-ppc") == Binary(str(tmp_path / "qemu-system-ppc"), Version(10, 0, 2), "Debian 1:10.0.2+ds")


@pytest.mark.parametrize("inner", ["", "usr/", "usr/local/"])
def test_an_unpacked_root_brings_its_data_and_modules_and_libraries(tmp_path: Path, inner: str) -> None:
    base = tmp_path / inner
    fake(base / "bin/qemu-system-ppc64")
    libraries = base / "lib/x86_64-linux-gnu"
    (libraries / "qemu").mkdir(parents=True)
    (libraries / "libslirp.so.0").touch()
    found = find("qemu-system-ppc64", str(tmp_path))
    assert found.options == ("-L", str(base / "share/qemu"))
    assert found.environment == {"LD_LIBRARY_PATH": str(libraries), "QEMU_MODULE_DIR": str(libraries / "qemu")}


def test_a_c_library_in_the_root_is_loaded_by_the_loader_that_came_with_it(tmp_path: Path) -> None:
    """Debian 13's QEMU on Debian 12: the loader of the one cannot load the C library of the other. The release is what
    the loader, which is a script here, says of the program."""
    fake(tmp_path / "bin/ls")
    fake(tmp_path / "usr/bin/qemu-system-ppc", "9.9.9")
    for libraries in (tmp_path / "lib/x86_64-linux-gnu", tmp_path / "usr/lib/x86_64-linux-gnu"):
        libraries.mkdir(parents=True)
        (libraries / "libz.so.1").touch()
    loader = tmp_path / "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    loader.write_text('#!/bin/sh\n[ "$1 $3 $4" = "--library-path $0 --version" ]\n'
                      'echo "QEMU emulator version 10.0.13 ($3)"\n')  # fmt: skip
    loader.chmod(0o755)
    assert find("qemu-system-ppc", str(tmp_path)).loader == ()
    (tmp_path / "lib/x86_64-linux-gnu/libc.so.6").touch()
    found = find("qemu-system-ppc", str(tmp_path))
    program = str(tmp_path / "usr/bin/qemu-system-ppc")
    places = f"{tmp_path}/usr/lib/x86_64-linux-gnu:{tmp_path}/lib/x86_64-linux-gnu"
    assert found.loader == (str(loader), "--library-path", places)
    assert (found.path, found.release, found.package) == (program, "10.0.13", program)
    assert "LD_LIBRARY_PATH" not in found.environment


def test_a_release_that_does_not_trace_its_timers_is_refused(tmp_path: Path) -> None:
    """5.2 has no such trace events; whether one between it and 7.2 has is asked of it."""
    path = tmp_path / "qemu"
    path.write_text('#!/bin/sh\necho "QEMU emulator version 5.2.0"\n')
    path.chmod(0o755)
    with pytest.raises(UsageError, match=r"qemu: QEMU 5\.2\.0 does not trace its timers.*; needed: 7\.2$"):
        find(str(path))
    path.write_text('#!/bin/sh\necho "QEMU emulator version 6.2.0"\n[ $1 = -trace ] && echo ppc_decr_load\n')
    assert find(str(path)).version == (6, 2, 0)


def test_each_side_may_have_its_own(tmp_path: Path) -> None:
    old, new = fake(tmp_path / "old", "7.2.22"), fake(tmp_path / "root/bin/qemu-system-ppc", "10.0.2")
    engine = Engine(source_binary=str(old), destination_root=str(tmp_path / "root"))
    assert binary_of(engine, "source", "mac99").path == str(old)
    assert binary_of(engine, "destination", "mac99").path == str(new)
    both = Engine(source_binary=str(old), qemu_root=str(tmp_path / "root"))
    assert [binary_of(both, side, "mac99").path for side in ("source", "destination")] == [str(old), str(new)]


@pytest.mark.parametrize(
    ("wanted", "fits"), [("7.2", True), ("7", True), ("7.2.22", True), ("7.2.2", False), ("10.0", False)]
)
def test_a_scenario_about_one_release_refuses_another(tmp_path: Path, wanted: str, fits: bool) -> None:
    engine = Engine(binary=str(fake(tmp_path / "qemu", "7.2.22")), source_version=wanted)
    if fits:
        assert binary_of(engine, "source", "mac99").release == "7.2.22"
    else:
        with pytest.raises(UsageError, match=rf"about QEMU {wanted}, and .*qemu is 7\.2\.22.*--source-root"):
            binary_of(engine, "source", "mac99")
    assert binary_of(engine, "destination", "mac99").release == "7.2.22"


@pytest.mark.parametrize("script", ["echo Hello", "echo broken >&2; exit 1", "exit 7"])
def test_what_is_no_qemu_is_refused(tmp_path: Path, script: str) -> None:
    path = tmp_path / "qemu"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    with pytest.raises(UsageError, match=r"is not QEMU, or does not run: (Hello|broken|exit code 7)$"):
        find(str(path))


def test_a_root_without_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no QEMU was unpacked there"):
        find("qemu-system-ppc", str(tmp_path))


def test_what_a_release_does() -> None:
    """reference: mac99's timebase was changed in March 2024, before 9.0; DECR migrates since 8.2."""
    old, new = Binary("q", Version(7, 2, 22)), Binary("q", Version(10, 0, 2))
    assert [q.timebase_hz("mac99") for q in (old, new)] == [100_000_000, 25_000_000]
    assert {q.timebase_hz("g3beige") for q in (old, new)} == {16_600_000} == frequencies("g3beige")
    assert {q.timebase_hz("pseries") for q in (old, new)} == {512_000_000}
    assert [old.reset_decrementer(machine) for machine in ("g3beige", "mac99", "pseries")] == ["clock"] * 3
    new_resets = [new.reset_decrementer(machine) for machine in ("g3beige", "mac99", "pseries")]
    assert new_resets == ["expired", "zero", "raised"]
