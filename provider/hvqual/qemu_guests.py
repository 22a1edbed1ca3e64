# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests below libvirt: the same guests, started by avocado-vt's own QEMU VM object."""

from __future__ import annotations

import fcntl
import functools
import shlex
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avocado.core.exceptions import TestError
from virttest import virt_vm

from provider.hvqual import capability, host_config, host_process, images, marks
from provider.hvqual.case import Case
from provider.hvqual.domain_xml import TCG_MODEL, Place, kernel_cmdline
from provider.hvqual.guests import Guest, make_disks
from provider.hvqual.heartbeat import PORT_NAME, Observer, free_socket_path
from provider.hvqual.host_state import temporary_path, temporary_process
from provider.hvqual.post_mortem import examine
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

SIOCGIFADDR = 0x8915
# What avocado-vt 113 gives a guest by default and these guests have not; its CPUs are let run by `start`.
NOTHING_ELSE = {
    "cdroms": "",
    "display": "none",
    "vga": "none",
    "usbs": "",
    "usb_devices": "",
    "paused_after_start_vm": "yes",
}
SETTLE = 10.0


@dataclass(frozen=True)
class QemuStand:
    """The guests of a case below libvirt."""

    guests: list[Guest]
    case: Case[Any]


@contextmanager
def described(case: Case[Any]) -> Iterator[QemuStand]:
    """Hold the case's guests ready to be started for the length of the block; at its end none runs and no file is left."""
    wanted = case.wanted
    image = images.load(wanted.image_home, wanted.image)
    accelerator = capability.accelerator_of(wanted.qemu_binary, case.record)
    room = capability.capacity(wanted.reserve_cpus, wanted.reserve_memory_mib, wanted.max_memory_mib)
    found = host_config.shapes(case.identity.host_config, wanted, room)
    with ExitStack() as stack:
        observer = stack.enter_context(Observer(bridge_address(str(case.params["netdst"])), wanted.witness_port))
        guests = []
        for spec in host_config.specs(found, f"{marks.PREFIX}{case.token}", wanted):
            console = str(Path(case.test.logdir) / f"serial-serial0-{spec.name}.log")
            heartbeat = free_socket_path("/run", spec.name)
            place = Place(accelerator, wanted.qemu_binary, "", console, heartbeat, wanted.witness_port, case.token)
            guest = Guest(spec, image, place, wanted)
            for path in (place.heartbeat, *(disk.path for disk in spec.disks)):
                stack.enter_context(temporary_path(path))
            make_disks(spec)
            params = _params(case, guest)
            guest.join(case.env.create_vm("qemu", None, spec.name, params, case.test.bindir), observer, case.record)
            stack.callback(case.env.unregister_vm, spec.name)
            stack.enter_context(temporary_process(f"-name {spec.name}", functools.partial(_pids, spec.name)))
            stack.callback(_off, guest)
            stack.callback(examine, guest, case.record)
            guests.append(guest)
        yield QemuStand(guests, case)


def start(guest: Guest, stand: QemuStand) -> str:
    """
    Start QEMU; observe guest_ready (s) from the moment at which the guest's CPUs are let run. Return its boot_id.

    avocado-vt 113 starts QEMU with -S and takes about 3 s to open its monitors: that is no time of the product.
    """
    record = stand.case.record
    with record.step("start", guest.name):
        try:
            guest.vm.create()
        except virt_vm.VMCreateError as error:
            fail(record, "operation-refused", f"QEMU did not start '{guest.name}': {error}", guest.name)
        except virt_vm.VMError as error:
            # avocado-vt could not even compose the command line: nothing was asked of the product.
            message = f"The QEMU command of '{guest.name}' could not be made: {error}"
            raise TestError(message) from None
        _one_process(guest, stand)
        guest.on = True
        began = time.monotonic()
        guest.vm.resume(timeout=guest.wanted.operation_timeout)
        beat = guest.witness.ready(began, guest.wanted.ready_timeout)
        record.observe("guest_ready", beat.at - began, "s", guest.name)
    return beat.boot_id


def destroy(guest: Guest, stand: QemuStand) -> None:
    """Pull the guest's power; expect its QEMU gone."""
    with stand.case.record.step("destroy", guest.name):
        _off(guest)
        guest.on = False
        try:
            until(lambda: not host_process.emulators(guest.name), SETTLE, f"QEMU of '{guest.name}' to go")
        except WaitTimeoutError as error:
            fail(stand.case.record, "leftover", f"The guest was destroyed, but not its QEMU. {error}", guest.name)


def bridge_address(bridge: str) -> str:
    """Return the IPv4 address of the host on *bridge*; TestError with the mend when there is none."""
    request = struct.pack("256s", bridge.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            return socket.inet_ntoa(fcntl.ioctl(any_socket.fileno(), SIOCGIFADDR, request)[20:24])
        except OSError as error:
            message = f"The bridge '{bridge}' has no address ({error}). Start libvirt's default network, or give another by netdst."
            raise TestError(message) from None


def _pids(name: str) -> list[int]:
    return [process.pid for process in host_process.emulators(name)]


def _off(guest: Guest) -> None:
    """Stop the guest if it runs, through avocado-vt."""
    guest.hang_up()
    if guest.vm.is_alive():
        guest.vm.destroy(gracefully=False)


def _one_process(guest: Guest, stand: QemuStand) -> None:
    """Expect exactly one QEMU of the guest, as it was asked for."""
    found = host_process.emulators(guest.name)
    wanted = (guest.spec.vcpus, guest.spec.memory_kib // 1024)
    if len(found) != 1 or (found[0].vcpus, found[0].memory_mib) != wanted:
        seen = [(process.pid, process.vcpus, process.memory_mib) for process in found]
        message = f"'{guest.name}' should be one QEMU with (CPUs, MiB) {wanted}; the host has (pid, CPUs, MiB) {seen}."
        fail(stand.case.record, "wrong-result", message, guest.name)


def _params(case: Case[Any], guest: Guest) -> Any:
    """Return the parameters from which avocado-vt makes the QEMU command line of the guest."""
    spec, place, image = guest.spec, guest.place, guest.image
    params = case.params.copy()
    params.update(NOTHING_ELSE)
    params.update(_machine(case, guest))
    params.update(
        {
            "kernel": str(image.kernel),
            "initrd": str(image.initrd),
            "kernel_params": kernel_cmdline(image, spec, place),
            "images": "disk1",
            "image_name": spec.disk[: -len(".raw")],
            "image_format": "raw",
            "drive_format": "virtio",
            "drive_cache": "none",
            "nics": "nic1",
            "nic_model": "virtio",
            "mac_nic1": spec.mac,
            "shell_prompt": image.prompt,
            "extra_params": (
                f"-device virtio-serial-pci,id=hvserial -chardev socket,id=hvhb,path={place.heartbeat},server=on,wait=off "
                f"-device virtserialport,bus=hvserial.0,chardev=hvhb,name={PORT_NAME} "
                # Without it the first random bytes of a guest under TCG take 2.5 s.
                "-object rng-random,id=hvrng,filename=/dev/urandom -device virtio-rng-pci,rng=hvrng"
            ),
        },
    )
    return params


def _machine(case: Case[Any], guest: Guest) -> dict[str, str]:
    """Return the parameters of the machine itself: emulator, accelerator, CPUs in one socket, memory."""
    spec, tcg = guest.spec, guest.place.accelerator == "tcg"
    return {
        "qemu_binary": _wrapper(case, guest.place.emulator),
        "vm_accelerator": guest.place.accelerator,
        "enable_kvm": "no" if tcg else "yes",
        "auto_cpu_model": "no",
        "cpu_model": TCG_MODEL if tcg else "host",
        "smp": str(spec.vcpus),
        "vcpu_sockets": "1",
        "vcpu_cores": str(spec.vcpus),
        "vcpu_threads": "1",
        "vcpu_maxcpus": str(spec.vcpus),
        "mem": str(spec.memory_kib // 1024),
    }


def _wrapper(case: Case[Any], qemu: str) -> str:
    """
    Return a command that is QEMU, but understands how avocado-vt 113 asks it about machine types.

    avocado-vt pipes ``echo -e quit`` into the monitor; dash's echo knows no -e, so QEMU gets "-e quit", does not quit,
    and each VM costs 10 s (seen with Debian 12's /bin/sh).
    """
    path = Path(case.test.logdir) / "qemu"
    if not path.exists():
        real = shlex.quote(qemu)
        path.write_text(
            "#!/bin/sh\n"
            'case "$*" in\n'
            f'"-monitor stdio -nodefaults -nographic -S") sed "s/^-e //" | {real} "$@" ;;\n'
            f'*) exec {real} "$@" ;;\n'
            "esac\n",
            encoding="utf-8",
        )
        path.chmod(0o755)
    return str(path)
