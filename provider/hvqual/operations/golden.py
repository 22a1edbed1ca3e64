# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest of the golden image is held to: that it boots by itself as it was built, is a machine of its own, and goes down in order."""

from __future__ import annotations

import re
import shlex
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from avocado.utils import process

import libvirt
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.operations import power
from provider.hvqual.operations.importing import content
from provider.hvqual.record import Record
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until
from provider.hvqual.witness import facts

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
QUESTIONS = {
    "kernel": "uname -r",
    "cmdline": "cat /proc/cmdline",
    "hostname": "cat /proc/sys/kernel/hostname",
    "boot_id": "cat /proc/sys/kernel/random/boot_id",
    "machine_id": "cat /etc/machine-id",
    "host_key": f"cut -d' ' -f2 {HOST_KEY}",
    "mac": "cat /sys/class/net/eth0/address",
    "crash_kernel": "cat /sys/kernel/kexec_crash_loaded",
    "failed": "systemctl --failed --plain --no-legend | cut -d' ' -f1 | tr '\\n' ' '",
}
SETTLED = ("running", "degraded")
OWN = ("machine_id", "host_key", "hostname", "boot_id", "mac", "address", "uuid")
"""What no two machines may have in common."""
MACHINE_ID = re.compile(r"[0-9a-f]{32}")
SECTOR = 512
PACKAGES = "dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\\n'"
INSTALLED = 3
MARK = "/hvq-written-by-a-clone"


def up(guest: Guest, expect: Expect, settle: float) -> None:
    """
    Start the guest, log in over the network, wait until its services have settled, and lay its canaries.

    Observe login_time (s, from the start to the prompt), agent_answers (bool), and what `power.start` does.
    """
    record, began = expect.record, time.monotonic()
    power.start(guest, expect)
    _by_its_own_name(guest, expect, settle)
    guest.ask("true")
    record.observe("login_time", time.monotonic() - began, "s", guest.name)
    with record.step("settle", guest.name):
        asked = "systemctl is-system-running; true"
        try:
            until(lambda: guest.ask(asked).strip() in SETTLED, settle, f"the services of '{guest.name}'", interval=0.5)
        except WaitTimeoutError as error:
            fail(record, "wrong-result", f"The guest '{guest.name}' does not settle. {error}", guest.name)
    guest.witness.arm()


def _by_its_own_name(guest: Guest, expect: Expect, timeout: float) -> None:
    """Expect the guest's agent to answer, and know its packets by the name that it tells: of its own boot loader it has one of its own."""
    record, vm = expect.record, guest.name

    def told() -> str:
        try:
            return str(expect.truth.lookup(vm).hostname(libvirt.VIR_DOMAIN_GET_HOSTNAME_AGENT))
        except libvirt.libvirtError:
            return ""

    try:
        name = until(told, timeout, f"the agent of '{vm}' to answer", interval=0.5)
    except WaitTimeoutError as error:
        record.observe("agent_answers", False, "bool", vm)  # noqa: FBT003 - it is the value
        fail(record, "wrong-result", f"The guest agent in '{vm}' does not answer. {error}", vm)
    record.observe("agent_answers", True, "bool", vm)  # noqa: FBT003 - it is the value
    if guest.observer is not None and name != vm:
        guest.observer.known_as(name, vm)


def seen(guest: Guest) -> dict[str, str]:
    """Return what the guest says of itself, by the names of QUESTIONS; '-' where it says nothing."""
    asked = "; ".join(
        f'echo "{name}=$({question} 2>/dev/null | grep . || echo -)"' for name, question in QUESTIONS.items()
    )
    return {name: value.strip() for name, value in facts(guest.ask(asked), tuple(QUESTIONS)).items()}


def as_built(guest: Guest, record: Record, release: str, packages: Mapping[str, str]) -> None:
    """Observe own_loader, kernel_as_built, packages_as_built, crash_kernel_loaded (bool) and failed_units (count) of a guest."""
    told = seen(guest)
    _held(guest, record, "own_loader", _loader_problem(told["cmdline"]))
    other = "" if told["kernel"] == release else f"It runs the kernel '{told['kernel']}', its build tells '{release}'."
    _held(guest, record, "kernel_as_built", other)
    _held(guest, record, "packages_as_built", package_problem(installed(guest.ask(PACKAGES)), packages))
    no_dump = "" if told["crash_kernel"] == "1" else "No crash kernel is loaded, so a panic would leave no dump."
    _held(guest, record, "crash_kernel_loaded", no_dump)
    failed = [unit for unit in told["failed"].split() if unit != "-"]
    record.observe("failed_units", len(failed), "count", guest.name)
    if failed:
        record.problem("wrong-result", f"Units failed in '{guest.name}': {', '.join(failed)}.", guest.name)


def _loader_problem(cmdline: str) -> str:
    """GRUB tells the kernel its file, QEMU does not."""
    by_grub = any(word.startswith("BOOT_IMAGE=") for word in cmdline.split())
    return "" if by_grub else f"Its kernel was not started by its own boot loader; its command line is '{cmdline}'."


def installed(text: str) -> dict[str, str]:
    """Return package -> version of those that are whole, of what dpkg-query writes."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == INSTALLED and row[2] == "installed"}


def package_problem(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Return in what the packages *found* differ from those *wanted*, as a sentence; '' when in nothing."""
    wrong = [
        f"{name} {found.get(name, 'is missing')} ({wanted.get(name, 'not of the build')})"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
    return f"Its packages are not the build's: {', '.join(wrong[:9])}{' ...' if wrong[9:] else ''}." if wrong else ""


def first_boot(guest: Guest, record: Record) -> None:
    """Observe machine_id_made, host_key_made and name_of_its_own (bool): what the image has not got, its first boot made."""
    told = seen(guest)
    made = MACHINE_ID.fullmatch(told["machine_id"])
    _held(guest, record, "machine_id_made", "" if made else f"Its machine id is '{told['machine_id']}'.")
    _held(guest, record, "host_key_made", "" if told["host_key"] != "-" else f"It has no {HOST_KEY}.")
    own = told["hostname"] not in {"-", "golden", "localhost", "debian"}
    _held(
        guest,
        record,
        "name_of_its_own",
        "" if own else f"It is called '{told['hostname']}', as each other one would be.",
    )


def identity(guest: Guest) -> dict[str, str]:
    """Return what the guest says of itself, with the address from which its packets come and the UUID of its domain."""
    return {**seen(guest), "address": str(guest.vm.address_cache.get(guest.spec.mac) or "-"), "uuid": guest.spec.uuid}


def differ(told: Sequence[Mapping[str, str]], record: Record) -> None:
    """Observe identities_alike (count, of all that OWN names) and identities_seen (count): what two machines have in common."""
    alike = common(told)
    record.observe("identities_seen", sum(one.get(name, "-") != "-" for one in told for name in OWN), "count")
    record.observe("identities_alike", len(alike), "count")
    for sentence in alike:
        record.problem("wrong-result", sentence)


def common(told: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a sentence for each of OWN that two guests share or one has not got."""
    wrong = []
    for name in OWN:
        values = [one.get(name, "-") for one in told]
        if "-" in values:
            wrong.append(f"A clone has no {name}.")
        elif len(set(values)) < len(values):
            wrong.append(f"Clones have the same {name}: {', '.join(values)}.")
    return wrong


def written_apart(guests: Sequence[Guest], record: Record) -> None:
    """Write in the first guest; observe writes_apart: that it is seen there and in no other one."""
    guests[0].ask(f"echo mark > {MARK} && sync")
    there = [guest.ask(f"test -e {MARK} && echo yes || echo no").strip() for guest in guests]
    record.observe("writes_apart", there == ["yes", *["no"] * (len(guests) - 1)], "bool")


def unchanged(image: Path, before: str, record: Record) -> None:
    """Observe image_unchanged: the image's disk is what it was *before* (`importing.content`)."""
    same = content(image) == before
    record.observe("image_unchanged", same, "bool")
    if not same:
        record.problem("data-loss", f"'{image}', of which guests are copies, was changed meanwhile.")


def clean(guest: Guest, expect: Expect) -> None:
    """Observe file_system_clean: what the guest left on its (raw) disk when it went down needs no repair."""
    disk = Path(guest.spec.disk)
    command = ["e2fsck", "-f", "-n", f"{disk}?offset={partition(disk)}"]
    done = process.run(shlex.join(command), timeout=300, ignore_status=True)
    said = (done.stdout_text + done.stderr_text).strip()[-300:]
    _held(guest, expect.record, "file_system_clean", "" if done.exit_status == 0 else f"e2fsck says: {said}")


def partition(disk: Path) -> int:
    """Return where the first partition of a disk begins (byte), by its table."""
    with disk.open("rb") as file:
        first = file.read(SECTOR)
    return int(struct.unpack("<I", first[454:458])[0]) * SECTOR


def _held(guest: Guest, record: Record, name: str, wrong: str) -> None:
    """Observe *name*: that nothing is *wrong*, which is written down as it is."""
    record.observe(name, not wrong, "bool", guest.name)
    if wrong:
        record.problem("wrong-result", wrong, guest.name)
