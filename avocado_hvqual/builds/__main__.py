# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m avocado_hvqual.builds qemu|kernel|status`; scripts/build-qemu and scripts/build-kernel are its two names."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from avocado_hvqual.builds import guest_boot, install, kernel, qemu
from avocado_hvqual.builds.bench import Order
from avocado_hvqual.builds.record import Record
from avocado_hvqual.builds.source import Wanted
from avocado_hvqual.errors import BuildError, HvqualError
from avocado_hvqual.images import build_micro
from avocado_hvqual.lab.paths import home

USAGE, INTERRUPTED = 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; a refusal is one sentence and status 2."""
    args = parser().parse_args(arguments)
    try:
        return int(args.run(args))
    except HvqualError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; the same command goes on there.\n")
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = argparse.ArgumentParser(
        prog="python -m avocado_hvqual.builds", description="Own builds of QEMU and of the kernel."
    )
    verbs = whole.add_subparsers(required=True, metavar="VERB")
    first = verbs.add_parser("qemu", help="build QEMU and pack it")
    _fill(first, "qemu")
    first.add_argument(
        "--configure",
        action="append",
        default=[],
        metavar="WORD",
        help="a word for configure (given once or more: these alone)",
    )
    first.set_defaults(run=_qemu)
    second = verbs.add_parser("kernel", help="build a kernel and pack it")
    _fill(second, "linux")
    second.add_argument(
        "--config", type=Path, metavar="FILE", help="a kernel's configuration (default: the smallest for guests)"
    )
    second.add_argument("--reboot", action="store_true", help="with --install: let GRUB start it once, and reboot")
    second.set_defaults(run=_kernel)
    status = verbs.add_parser(
        "status", help="the builds that are installed here, and whether they are what was built and what runs"
    )
    status.set_defaults(run=lambda _args: install.status())
    return whole


def _fill(verb: argparse.ArgumentParser, package: str) -> None:
    """Add to *verb* what both builds are asked."""
    source = verb.add_mutually_exclusive_group(required=True)
    source.add_argument("--git", metavar="REPOSITORY", help="a repository: a folder or an address")
    source.add_argument("--tarball", metavar="FILE", help="a tarball")
    source.add_argument(
        "--debian",
        nargs="?",
        const=package,
        metavar="PACKAGE",
        help=f"the distribution's source package (default: {package})",
    )
    verb.add_argument("--ref", default="", help="commit, branch or tag; of a source package its version")
    verb.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at a time (default: one a CPU)")
    verb.add_argument(
        "--until", default="", metavar="STAGE", help="end after source, configured, compiled, installed or packed"
    )
    verb.add_argument("--boot", action="store_true", help="boot the micro guest with it and say what the guest told")
    verb.add_argument(
        "--install", action="store_true", help="install the package (a kernel: with its initrd and GRUB's menu)"
    )


def _order(args: argparse.Namespace) -> Order:
    kind, place = next((kind, getattr(args, kind)) for kind in ("git", "tarball", "debian") if getattr(args, kind))
    if args.jobs < 1:
        msg = f"--jobs is {args.jobs}; at least 1 compiler is needed."
        raise BuildError(msg)
    return Order(home(), Wanted(kind, place, args.ref), args.jobs, args.until, _tell)


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _told(record: Record, name: str) -> None:
    sys.stdout.write(f"{record.told()}\n{home() / 'builds' / name / 'record.json'}\n")


def _qemu(args: argparse.Namespace) -> int:
    record = qemu.build(_order(args), tuple(args.configure))
    if record is None:
        return 0
    _told(record, qemu.NAME)
    if args.boot:
        program = home() / "builds" / qemu.NAME / "tree" / record.main.lstrip("/")
        booted = guest_boot.boot(build_micro(home()), home() / "builds/qemu/console.log", qemu=str(program))
        if not guest_boot.same_program(booted.program, program):
            msg = f"The guest ran on {booted.program}, expected {program}."
            raise BuildError(msg)
        sys.stdout.write(json.dumps(asdict(booted), indent=1) + "\n")
    if args.install:
        install.package(home() / "builds" / qemu.NAME, record)
    return 0


def _kernel(args: argparse.Namespace) -> int:
    if args.reboot and not args.install:
        msg = "--reboot starts what --install installed; give both."
        raise BuildError(msg)
    record = kernel.build(_order(args), args.config)
    if record is None:
        return 0
    _told(record, kernel.NAME)
    if args.boot:
        image = home() / "builds" / kernel.NAME / "tree" / record.main.lstrip("/")
        booted = guest_boot.boot(build_micro(home()), home() / "builds/kernel/console.log", kernel=image)
        if booted.release != record.version:
            msg = f"The guest runs the kernel {booted.release}, expected {record.version}."
            raise BuildError(msg)
        sys.stdout.write(json.dumps(asdict(booted), indent=1) + "\n")
    if args.install:
        if args.reboot:
            install.keep_default(record.main)
        install.package(home() / "builds" / kernel.NAME, record)
        if args.reboot:
            install.start_once(record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
