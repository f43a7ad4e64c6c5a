"""[engine]: what runs the guest, livemig's own emulator or a real QEMU."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from livemig.config.quantity import Quantity
from livemig.config.section import Section
from livemig.config.units import TIME

TEXT = r"^[^\x00]*$"


class Engine(Section):
    """What runs the guest. All keys but `kind` are for `kind = "qemu"`; see docs/qemu.md."""

    kind: Literal["emulator", "qemu"] = Field(
        default="emulator", description="livemig's own emulator, or two processes of a real QEMU"
    )
    binary: str = Field(
        default="",
        pattern=TEXT,
        description="QEMU's program, looked up as a shell does; empty: the one for the machine, `qemu-system-ppc64` "
        "for pseries, else `qemu-system-ppc`",
    )
    source_binary: str = Field(default="", pattern=TEXT, description="the same for the source alone")
    destination_binary: str = Field(default="", pattern=TEXT, description="the same for the destination alone")
    qemu_root: str = Field(
        default="",
        pattern=TEXT,
        description="directory of an unpacked QEMU, with `bin/` and `share/qemu/` in it, its `usr/` or `usr/local/`, "
        "that is taken in place of the installed one; relative to the configuration file",
    )
    source_root: str = Field(default="", pattern=TEXT, description="the same for the source alone")
    destination_root: str = Field(default="", pattern=TEXT, description="the same for the destination alone")
    source_version: str = Field(
        default="",
        pattern=TEXT,
        description="the source must be of this release of QEMU, 7.2 or 10.0.2 say; empty for any",
    )
    destination_version: str = Field(default="", pattern=TEXT, description="the same for the destination")
    method: Literal["live", "stop-and-copy"] = Field(
        default="live", description="the guest runs while its memory is sent (live), or is stopped before"
    )
    at_stop: Literal["any", "none", "raised", "taken"] = Field(
        default="any",
        description="stop-and-copy: stop, go on a little and stop again until the decrementer's interrupt is not "
        "due (none), raised and masked (raised), or being handled (taken)",
    )
    masked_loops: int = Field(
        default=0,
        ge=0,
        le=2**32 - 1,
        description="for so many turns of an empty loop the guest keeps interrupts masked, then lets them in for a "
        "moment, again and again; 0 for never",
    )
    kernel: str = Field(
        default="",
        pattern=TEXT,
        description="a guest of your own in place of livemig's; relative to the configuration file",
    )
    initrd: str = Field(default="", pattern=TEXT, description="its initial RAM disk; relative to the same")
    append: str = Field(default="", pattern=TEXT, description="its command line")
    arguments: str = Field(
        default="", pattern=TEXT, description="further arguments of both QEMUs, quoted as for a shell"
    )
    start_timeout: Annotated[int, Quantity(TIME, "1s", "1h")] = Field(
        default=TIME.parse("20s"), description="how long QEMU may take to start, and the guest to be ready"
    )
