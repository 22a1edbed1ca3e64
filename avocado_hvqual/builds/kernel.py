# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build a kernel: source, configuration, compile, package; and boot it in a guest, which must say that it runs this very build.

By default the smallest that our guests run on: tinyconfig and kernel.config. For a node, give the configuration of its kernel.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

from avocado_hvqual.builds import packing, record
from avocado_hvqual.builds.bench import COMPILE_SECONDS, Bench, Order, bench, build_id, compiler, make
from avocado_hvqual.builds.record import Record
from avocado_hvqual.errors import BuildError
from avocado_hvqual.images.golden.stages import Stage

NAME = "kernel"
FRAGMENT = Path(__file__).with_name("kernel.config")
LOCAL_VERSION = "-hvq"
PROGRAMS = {
    "gcc": "gcc",
    "make": "make",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "readelf": "binutils",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "git": "git",
    "xz": "xz-utils",
    "lz4": "lz4",
}
#: The distribution's own hooks make the initrd and GRUB's menu.
_HOOKS = """#!/bin/sh
set -e
export INITRD=Yes
[ ! -d /etc/kernel/{when}.d ] || run-parts --arg={release} --arg=/boot/vmlinuz-{release} /etc/kernel/{when}.d
"""


def build(order: Order, config: Optional[Path] = None) -> Optional[Record]:
    """Build a kernel with the configuration *config* (none: the smallest) and return its record; a build that broke off goes on."""
    made = bench(NAME, order, (config or FRAGMENT).read_text(encoding="utf-8"), PROGRAMS)
    stages = [
        Stage("configured", "it is configured", lambda: _configure(made, config)),
        Stage("compiled", "it is compiled", lambda: _compile(made)),
        Stage("installed", "it is installed in a folder", lambda: _install(made)),
        Stage("packed", "it is a package", lambda: _pack(made, config)),
    ]
    return make(made, stages)


def _make(made: Bench, *words: str, timeout: float = 600.0) -> str:
    """Run the kernel's make with an own version mark; nobody's local changes get into it."""
    line = [
        "make",
        "-s",
        f"-j{made.order.jobs}",
        f"LOCALVERSION={LOCAL_VERSION}",
        "KBUILD_BUILD_USER=hvqual",
        "KBUILD_BUILD_HOST=hvqual",
        *words,
    ]
    programs = made.programs.within(made.source.folder)
    return programs.run(line, f"make {' '.join(words)} of the kernel", timeout=timeout)


def _configure(made: Bench, config: Optional[Path]) -> None:
    """Write .config and hold what came out of it against what was asked for: an option whose needs are not met is dropped silently."""
    target = made.source.folder / ".config"
    if config is not None:
        shutil.copyfile(config, target)
    else:
        _make(made, "tinyconfig")
        with target.open("a", encoding="utf-8") as stream:
            stream.write(FRAGMENT.read_text(encoding="utf-8"))
    _make(made, "olddefconfig")
    lost = dropped(wanted_options((config or FRAGMENT).read_text(encoding="utf-8")), target.read_text(encoding="utf-8"))
    if lost and config is None:
        msg = f"The kernel's configuration dropped {', '.join(lost)}; what they depend on is missing in {FRAGMENT}."
        raise BuildError(msg)


def wanted_options(text: str) -> list[str]:
    """Return the lines ``CONFIG_X=y`` (or any value but n) of a configuration."""
    return [line for line in text.splitlines() if re.match(r"CONFIG_\w+=(?!n$)", line)]


def dropped(wanted: Iterable[str], config: str) -> list[str]:
    """Return those of the *wanted* lines that *config* does not hold."""
    held = set(config.splitlines())
    return [line for line in wanted if line not in held]


def _compile(made: Bench) -> None:
    modular = "CONFIG_MODULES=y" in (made.source.folder / ".config").read_text(encoding="utf-8").splitlines()
    _make(made, "bzImage", *(["modules"] if modular else []), timeout=COMPILE_SECONDS)


def release(made: Bench) -> str:
    """Return the release of the kernel as it will call itself."""
    return _make(made, "kernelrelease").strip()


def _install(made: Bench) -> None:
    """Lay out what the package installs: kernel, symbols and configuration, and the modules with their index."""
    shutil.rmtree(made.tree, ignore_errors=True)
    source, name = made.source.folder, release(made)
    (made.tree / "boot").mkdir(parents=True)
    for held, target in (("arch/x86/boot/bzImage", "vmlinuz"), ("System.map", "System.map"), (".config", "config")):
        shutil.copyfile(source / held, made.tree / f"boot/{target}-{name}")
    modules = made.tree / "lib/modules" / name
    if (source / "modules.order").exists() and (source / "modules.order").stat().st_size:
        _make(made, f"INSTALL_MOD_PATH={made.tree}", "modules_install")
        for link in ("build", "source"):
            (modules / link).unlink(missing_ok=True)
    else:
        modules.mkdir(parents=True)
        for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            held_index = source / index
            (modules / index).write_bytes(held_index.read_bytes() if held_index.exists() else b"")
        made.programs.run(["depmod", "-b", str(made.tree), name], "index the kernel's modules")


def _pack(made: Bench, config: Optional[Path]) -> None:
    """Make the package and write the record."""
    name, source = release(made), made.source
    words = (
        tuple(wanted_options((config or FRAGMENT).read_text(encoding="utf-8")))
        if config is None
        else (f"--config={config.name}",)
    )
    identity = build_id(source.folder / "vmlinux", made.programs)
    told = Record(
        NAME,
        name,
        record.source_row(source),
        words,
        compiler(made.programs),
        identity,
        f"/boot/vmlinuz-{name}",
        record.files_below(made.tree),
    )
    scripts = tuple((when, _HOOKS.format(when=when, release=name)) for when in ("postinst", "postrm"))
    text = "Kernel under test, built by avocado-hvqual"
    about = packing.About(
        f"linux-image-{name.replace('_', '-').lower()}", packing.version(f"{name}+{source.ref[:12]}"), text, scripts
    )
    record.write(packing.pack(made.tree, about, told, made.folder, made.programs), made.record)
