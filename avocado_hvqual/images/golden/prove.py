# SPDX-License-Identifier: GPL-2.0-or-later
"""The two proofs of a build: one guest by the disk's own boot loader that shuts down, and two clones of the template that differ."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images import secret
from avocado_hvqual.images.golden import clones, configure, disk, proof
from avocado_hvqual.images.golden.guest import Direct, Guest, Wanted, accelerator, free_port, running, user_network
from avocado_hvqual.images.golden.workshop import MIN_MEMORY_MIB, PROMPT, Workshop, digest

#: The user-mode network of QEMU gives its first two guests these addresses.
_ADDRESSES = ("10.0.2.15", "10.0.2.16")
_MARK = "/hvq-written-by-a-clone"


def boot_once(shop: Workshop) -> None:
    """Boot a copy of the disk by its own loader, look at the guest, shut it down by the power button and check the file system."""
    target, port = shop.file("booted.raw"), free_port()
    disk.copy(shop.file("disk.raw"), target, shop.programs)
    wanted = Wanted("hvq-golden", target, "raw", _mac(), user_network((port, "")), accelerator=accelerator())
    with running(wanted, shop.file("console-booted.log")) as guest:
        seen = proof.look(guest, shop.file(secret.PASSWORD), PROMPT, port, shop.programs)
        stopped = guest.shut_down()
    disk.check(target, shop.programs)
    _refuse(
        proof.problems(seen, _release(shop), shop.order.packages, own_loader=True),
        "The image booted by its own loader is not right",
    )
    shop.note("packages.json", dict(seen.packages))
    shop.note(
        "booted.json",
        {**seen.told(), "accelerator": wanted.accelerator, "shutdown_seconds": stopped, "packages": len(seen.packages)},
    )


def two_clones(shop: Workshop) -> None:
    """Boot two overlays of the template on one network, each by its kernel, and hold them against each other and the template."""
    template, before = shop.file("golden.raw"), digest(shop.file("golden.raw"))
    made = [clones.clone(template, shop.file(f"clone-{number}.qcow2"), "overlay", shop.programs) for number in (1, 2)]
    ports, meeting = (free_port(), free_port()), free_port()
    networks = (_first_network(ports, meeting), ("-netdev", f"socket,id=n0,connect=127.0.0.1:{meeting}"))
    kind = accelerator()
    guests: list[Guest] = []
    seen: list[proof.Seen] = []
    with ExitStack() as stack:
        # One after the other, both up at the end: two that boot at once on two cores would not show how long a login takes.
        for number, network in enumerate(networks, start=1):
            started = running(_wanted(shop, number, network, kind), shop.file(f"console-clone-{number}.log"))
            guests.append(stack.enter_context(started))
            seen.append(proof.look(guests[-1], shop.file(secret.PASSWORD), PROMPT, 0, shop.programs))
        keys = _seen_by_ssh(shop, ports, [one.address for one in seen])
        wrong = _written_apart(guests)
        stopped = [guest.shut_down() for guest in guests]
    wrong += _not_right(shop, seen, keys)
    wrong += ["The template changed while its clones ran."] if digest(template) != before else []
    _refuse(wrong, "Two clones of the image are not right")
    overlays = [asdict(one) for one in made]
    _measure(shop, {"guests": [one.told() for one in seen], "shutdown_seconds": stopped, "overlays": overlays})


def _not_right(shop: Workshop, seen: list[proof.Seen], keys: list[tuple[str, str]]) -> list[str]:
    """Return what is wrong with two clones, each by itself and the one held against the other."""
    wrong = proof.alike(*seen)
    for one, key in zip(seen, keys):
        found = proof.problems(one, _release(shop), shop.order.packages, own_loader=False)
        wrong += [f"{one.name}: {sentence}" for sentence in found]
        if key != (one.facts.get("boot_id"), one.facts.get("host_key")):
            wrong.append(f"{one.name} shows ssh another boot or host key.")
    return wrong


def _measure(shop: Workshop, found: dict[str, Any]) -> None:
    """Note what was *found*, with what each way to copy the template costs here; a way that does not work here is told with its reason."""
    ways: dict[str, Any] = {}
    for way in ("reflink", "sparse", "overlay"):
        target = shop.file("measured")
        try:
            ways[way] = asdict(clones.clone(shop.file("golden.raw"), target, way, shop.programs))
        except ImageError as error:
            ways[way] = {"refused": str(error)}
        target.unlink(missing_ok=True)
    for number in (1, 2):
        shop.file(f"clone-{number}.qcow2").unlink()
    shop.note("clones.json", {**found, "ways": ways})


def _wanted(shop: Workshop, number: int, network: tuple[str, ...], kind: str) -> Wanted:
    name = f"hvq-clone-{number}"
    direct = Direct(shop.file("vmlinuz"), shop.file("initrd.img"), f"{configure.CMDLINE} hv.vm={name}")
    disk_file = shop.file(f"clone-{number}.qcow2")
    return Wanted(name, disk_file, "qcow2", _mac(), network, direct, accelerator=kind, memory_mib=MIN_MEMORY_MIB)


def _first_network(ports: tuple[int, int], meeting: int) -> tuple[str, ...]:
    """Return the words for a network with a DHCP server, which a second QEMU joins by the port *meeting* on loopback."""
    user = user_network(*zip(ports, _ADDRESSES))[1].replace("id=n0", "id=u0")
    parts = [
        user,
        f"socket,id=s0,listen=127.0.0.1:{meeting}",
        "hubport,id=h0,hubid=0,netdev=u0",
        "hubport,id=h1,hubid=0,netdev=s0",
    ]
    return tuple(word for part in [*parts, "hubport,id=n0,hubid=0"] for word in ("-netdev", part))


def _seen_by_ssh(shop: Workshop, ports: tuple[int, int], addresses: list[str]) -> list[tuple[str, str]]:
    """Return what ssh sees of the guests at *addresses*: boot id and host key of each."""
    by_address = dict(zip(_ADDRESSES, ports))
    strange = [address for address in addresses if address not in by_address]
    if strange:
        msg = f"A clone was leased {', '.join(strange)}, which is not of this network ({', '.join(_ADDRESSES)})."
        raise ImageError(msg)
    return [proof.by_ssh(by_address[address], shop.file(secret.PASSWORD), shop.programs) for address in addresses]


def _written_apart(guests: list[Guest]) -> list[str]:
    """Write in the first guest and return a sentence if that cannot be seen there, or can in the second one."""
    guests[0].agent.run(f"echo mark >{_MARK} && sync")
    here, there = (guest.agent.run(f"test -e {_MARK}")[0] for guest in guests)
    if here != 0:
        return ["What a clone wrote is not there."]
    return ["What one clone wrote is in the other."] if there == 0 else []


def _release(shop: Workshop) -> str:
    return str(shop.read("kernel.json")["release"])


def _mac() -> str:
    """Return an address of QEMU's range that nobody chose."""
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))


def _refuse(wrong: list[str], what: str) -> None:
    if wrong:
        msg = f"{what}: {' '.join(wrong)}"
        raise ImageError(msg)
