# SPDX-License-Identifier: GPL-2.0-or-later
"""`lab up | status | exec HOST -- COMMAND | power-off HOST | down`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from avocado_hvqual import lab
from avocado_hvqual.lab.left_changed import left_changed
from avocado_hvqual.lab.status import HostStatus, LabStatus


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the verb `lab` to an argparse subparsers object and return its parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "lab", help="two hosts on this machine: the node hv-a and its peer hv-b"
    )
    fill(parser)
    return parser


def fill(parser: argparse.ArgumentParser) -> None:
    """Add the lab's own verbs to *parser*."""
    verbs = parser.add_subparsers(dest="lab_verb", required=True, metavar="VERB")
    up = verbs.add_parser("up", help="bring both hosts up; what is up already stays as it is")
    up.add_argument("--qemu", metavar="PATH", help="put this QEMU under test instead of the distribution's")
    up.add_argument(
        "--qemu-user",
        metavar="USER",
        help="run QEMU as this user, as nodes do: libvirt-qemu (default: root, who needs no permission for any file)",
    )
    status = verbs.add_parser("status", help="say what is up (status 0 only if everything is)")
    for verb in (up, status):
        verb.add_argument("--json", action="store_true", dest="lab_json", help="write one JSON object")
    execute = verbs.add_parser("exec", help="run a command inside a host; the exit status is the command's")
    execute.add_argument("host", choices=(*lab.HOSTS, lab.FABRIC))
    execute.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    power = verbs.add_parser("power-off", help="cut the power of a host")
    power.add_argument("host", choices=lab.HOSTS)
    verbs.add_parser("down", help="end both hosts and remove all that is theirs")


def run(args: argparse.Namespace) -> int:
    """Do what *args* say and return the exit status; raises `LabError` with the sentence for the user."""
    if args.lab_verb == "exec":
        lab.replace(args.host, args.command[1:] if args.command[:1] == ["--"] else args.command)
    if args.lab_verb == "power-off":
        lab.power_off(args.host)
        return 0
    if args.lab_verb == "down":
        lab.down()
        sys.stderr.writelines(f"{sentence}\n" for sentence in left_changed())
        return 0
    found = lab.up(args.qemu, args.qemu_user) if args.lab_verb == "up" else lab.status()
    sys.stdout.write(json.dumps(found.as_dict(), indent=1) + "\n" if args.lab_json else render(found))
    return 0 if found.up else 1


def render(found: LabStatus) -> str:
    """Return the status as lines for a terminal."""
    lines = [f"lab in {found.home}: {'up' if found.up else 'not up'}"]
    if found.accelerator:
        lines.append(
            f"  accelerator {found.accelerator}, QEMU {found.qemu or 'of the distribution'} as {found.qemu_user}, "
            f"shared storage {found.shared}"
        )
    lines.append(f"  fabric {'up' if found.fabric else 'down'}")
    exposed = [host.name for host in found.hosts if host.libvirtd and not host.protected]
    if exposed:
        mend = "'lab up' protects it where the kernel lets it (CAP_SYS_RESOURCE)"
        lines.append(f"  libvirtd of {', '.join(exposed)} is not protected from the OOM killer; {mend}")
    return "".join(f"{line}\n" for line in [*lines, *map(_host_line, found.hosts)])


def _host_line(host: HostStatus) -> str:
    """Return the line of one host."""
    if not host.running:
        return f"  {host.name} has no power; start it with 'avocado hvqual lab up'"
    if not host.libvirtd:
        return (
            f"  {host.name} runs (process {host.pid}), libvirtd does not answer; mend it with 'avocado hvqual lab up'"
        )
    domains = ", ".join(host.domains or ()) or "none"
    networks = ", ".join(host.networks or ()) or "none"
    return f"  {host.name} runs (process {host.pid}), {host.address}, networks {networks}, domains {domains}"
