# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build QEMU for one target: source, configure, compile, package.

It goes into a folder of its own below /opt, beside the distribution's; a domain's `<emulator>` or `avocado hvqual lab up --qemu` names it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Optional

from avocado_hvqual.builds import packing, record
from avocado_hvqual.builds.bench import COMPILE_SECONDS, Bench, Order, bench, build_id, compiler, make
from avocado_hvqual.builds.record import Record
from avocado_hvqual.errors import BuildError
from avocado_hvqual.images.golden.stages import Stage

NAME = "qemu"
PREFIX = "/opt/hvq-qemu"
PROGRAMS = {
    "gcc": "gcc",
    "make": "make",
    "ninja": "ninja-build",
    "meson": "meson",
    "pkg-config": "pkg-config",
    "readelf": "binutils",
    "flex": "flex",
    "bison": "bison",
    "dpkg-deb": "dpkg",
    "git": "git",
}
#: The devices of a guest of ours, instead of all that QEMU can: the smallest build that a cloud's guest runs on.
DEVICES = (
    "Q35",
    "I440FX",
    "PCIE_PORT",
    "VIRTIO_PCI",
    "VIRTIO_BLK",
    "VIRTIO_NET",
    "VIRTIO_SCSI",
    "VIRTIO_SERIAL",
    "VIRTIO_RNG",
    "VIRTIO_BALLOON",
    "VIRTIO_MEM",
    "PVPANIC_PCI",
    "SERIAL_ISA",
    "ISA_DEBUG",
    "VGA_PCI",
    "NVME_PCI",
    "WDT_IB6300ESB",
)
_DEVICE_FILE = "configs/devices/x86_64-softmmu/hvq.mak"
#: Firmware is the distribution's: it is packed by itself there, and left out of its source of QEMU.
_FIRMWARE = f"{PREFIX}/share/qemu:/usr/share/seabios:/usr/share/qemu:/usr/lib/ipxe/qemu"
SMALLEST = (
    f"--prefix={PREFIX}",
    "--target-list=x86_64-softmmu",
    "--without-default-features",
    "--without-default-devices",
    "--with-devices-x86_64=hvq",
    f"--firmwarepath={_FIRMWARE}",
    "--disable-install-blobs",
    "--disable-werror",
    "--enable-system",
    "--enable-tcg",
    "--enable-kvm",
    "--enable-vhost-kernel",
    "--enable-vhost-net",
    "--enable-fdt=system",
    "--enable-slirp",
    "--enable-linux-aio",
    "--extra-ldflags=-Wl,--build-id",
)


def build(order: Order, configure: tuple[str, ...] = ()) -> Optional[Record]:
    """Build QEMU with the words *configure* (none: the smallest) and return its record; a build that broke off goes on."""
    words = configure or SMALLEST
    made = bench(NAME, order, " ".join(words), PROGRAMS)
    stages = [
        Stage("configured", "it is configured", lambda: _configure(made, words)),
        Stage("compiled", "it is compiled", lambda: _compile(made)),
        Stage("installed", "it is installed in a folder", lambda: _install(made)),
        Stage("packed", "it is a package", lambda: _pack(made, words)),
    ]
    return make(made, stages)


def _configure(made: Bench, words: tuple[str, ...]) -> None:
    folder = made.source.folder
    devices = folder / _DEVICE_FILE
    devices.write_text("".join(f"CONFIG_{name}=y\n" for name in DEVICES), encoding="utf-8")
    shutil.rmtree(folder / "build", ignore_errors=True)
    (folder / "build").mkdir()
    made.programs.within(folder / "build").run(["../configure", *words], "configure QEMU", timeout=1200)


def _compile(made: Bench) -> None:
    programs = made.programs.within(made.source.folder / "build")
    programs.run(["ninja", f"-j{made.order.jobs}"], "compile QEMU", timeout=COMPILE_SECONDS)


def _install(made: Bench) -> None:
    shutil.rmtree(made.tree, ignore_errors=True)
    programs = made.programs.within(made.source.folder / "build", {"DESTDIR": str(made.tree)})
    programs.run(["ninja", "install"], "install QEMU into a folder")
    if not _binary(made).is_file():
        msg = f"The build installed no {_binary(made)}; all that it said is in {made.programs.log}."
        raise BuildError(msg)


def _binary(made: Bench) -> Path:
    return made.tree / f"{PREFIX}/bin/qemu-system-x86_64".lstrip("/")


def _pack(made: Bench, words: tuple[str, ...]) -> None:
    """Ask the program for its version, make the package and write the record."""
    said = made.programs.run([str(_binary(made)), "--version"], "ask the new QEMU").splitlines()[0]
    number = said.split()[3]
    main = f"{PREFIX}/bin/qemu-system-x86_64"
    told = Record(
        NAME,
        number,
        record.source_row(made.source),
        words,
        compiler(made.programs),
        build_id(_binary(made), made.programs),
        main,
        record.files_below(made.tree),
    )
    about = packing.About(
        "hvq-qemu", packing.version(f"{number}+{made.source.ref[:12]}"), "QEMU under test, built by avocado-hvqual"
    )
    record.write(packing.pack(made.tree, about, told, made.folder, made.programs), made.record)
