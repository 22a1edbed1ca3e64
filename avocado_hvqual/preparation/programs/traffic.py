# SPDX-License-Identifier: GPL-2.0-or-later
"""
What guests can reach: ``python traffic.py PLAN``, where PLAN is a JSON object, with JSON on stdout.

PLAN: {"uri", "accelerator", "image": folder, "outside": bool,
"guests": [{"name", "kind": "network" | "bridge", "source", "address", "gateway"}],
"probes": [{"from": guest, "to": guest, address or "outside", "via": address or ""}]}.
A guest without an address asks for a lease. *via* is the router that the guest is told to use for this one target, so that it is
the network that denies, and not the guest's own table of routes.

Answer: {"guests": {name: {"address", "mac", "lease", "name_resolved"}}, "probes": [{"from", "to", "target", "reached", "said"}]},
or {"error"}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

# Run as a script, our own folder must not shadow modules.
if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from avocado_hvqual import wait
from avocado_hvqual.preparation.programs.guest_agent import Guest, GuestError
from avocado_hvqual.preparation.programs.guest_xml import PREFIX, Image, forget_logs, networked_guest
from avocado_hvqual.preparation.programs.outside import outside

_BOOT_S = 90.0
_SECONDS_PER_GUEST = 15.0


def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Start the guests, let them talk, and return what was seen; GuestError when that is not possible."""
    import libvirt

    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        image = Image.of(Path(plan["image"]))
        connection = libvirt.open(plan["uri"])
    except (OSError, KeyError, ValueError, libvirt.libvirtError) as error:
        raise GuestError(str(error)) from error
    try:
        with ExitStack() as stack:
            world = stack.enter_context(outside()) if plan["outside"] else ""
            return _talk(plan, connection, image, world)
    except (OSError, subprocess.SubprocessError, wait.WaitTimeoutError) as error:
        message = f"The host outside could not be made: {error}"
        raise GuestError(message) from error
    finally:
        connection.close()
        forget_logs()


def _talk(plan: dict[str, Any], connection: Any, image: Image, world: str) -> dict[str, Any]:
    guests: dict[str, Guest] = {}
    try:
        for entry in plan["guests"]:
            name = f"{PREFIX}{entry['name']}-{os.getpid()}"
            xml = networked_guest(name, plan["accelerator"], image, [(entry["kind"], entry["source"])])
            guests[entry["name"]] = Guest(connection, name, xml)
        return _heard(plan, connection, guests, world)
    finally:
        for guest in guests.values():
            guest.end()


def _heard(plan: dict[str, Any], connection: Any, guests: dict[str, Guest], world: str) -> dict[str, Any]:
    """Return what the guests saw, once all are up and have their addresses."""
    for guest in guests.values():
        guest.wait_up(_BOOT_S + _SECONDS_PER_GUEST * len(guests))
    seen = {entry["name"]: _settled(connection, guests[entry["name"]], entry) for entry in plan["guests"]}
    places = {**{name: told["address"] for name, told in seen.items()}, "outside": world}
    probes = [_probe(guests[probe["from"]], probe, places) for probe in plan["probes"]]
    for entry in plan["guests"]:
        if not entry["address"]:
            guests[entry["name"]].release()
    return {"guests": seen, "probes": probes}


def _settled(connection: Any, guest: Guest, entry: dict[str, Any]) -> dict[str, Any]:
    """Return a guest's address, the lease that libvirt has for it, and what its gateway's name server says of its name."""
    if entry["address"]:
        address = guest.take(entry["address"], entry["gateway"])
        return {"address": address, "mac": guest.mac, "lease": "", "name_resolved": ""}
    address, lease = guest.leased(), ""
    if entry["kind"] == "network":
        network = connection.networkLookupByName(entry["source"])
        lease = next((str(row["ipaddr"]) for row in network.DHCPLeases(guest.mac) or ()), "")
    _status, gateway = guest.run("ip route show default | cut -d' ' -f3")
    server = entry["gateway"] or (gateway.split() or [""])[0]
    said = guest.run(f"nslookup {guest.name} {server}")[1] if server else ""
    return {"address": address, "mac": guest.mac, "lease": lease, "name_resolved": " ".join(answers(said, server))}


def answers(said: str, server: str) -> list[str]:
    """Return the addresses that nslookup was told, without the server's own, which it writes with its port."""
    told = [line.split()[-1] for line in said.splitlines() if line.startswith("Address")]
    return [address for address in told if address.partition(":")[0] != server]


def _probe(guest: Guest, probe: dict[str, Any], places: dict[str, str]) -> dict[str, Any]:
    """Return whether a guest was answered by a target."""
    target = places.get(probe["to"], probe["to"])
    if probe["via"]:
        guest.run(f"ip route replace {target}/32 via {probe['via']} dev eth0")
    status, said = guest.run(f"ping -c 2 -W 2 {target}")
    last = (said.strip().splitlines() or [""])[-1]
    return {"from": probe["from"], "to": probe["to"], "target": target, "reached": status == 0, "said": last}


def main(arguments: list[str]) -> int:
    """Write the answer; status 1 with {"error": reason} when the guests could not be asked."""
    try:
        answer = run(json.loads(arguments[0]))
    except GuestError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
