# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests below libvirt: the same guests, started by avocado-vt's own QEMU VM object."""

from __future__ import annotations

import fcntl
import functools
import shlex
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Callable

from avocado.core.exceptions import TestError

from provider.hvqual import (
    capability,
    host_config,
    host_process,
    images,
    marks,
    qemu_memory,
    qemu_power,
    stalled,
    together,
)
from provider.hvqual.any_stand import AnyStand
from provider.hvqual.case import Case
from provider.hvqual.domain_xml import TCG_MODEL, Place, kernel_cmdline
from provider.hvqual.guests import Guest, make_disks
from provider.hvqual.heartbeat import PORT_NAME, Observer, free_socket_path
from provider.hvqual.host_config import Shape
from provider.hvqual.host_state import temporary_path, temporary_process
from provider.hvqual.post_mortem import examine
from provider.hvqual.qemu_power import Below

SIOCGIFADDR = 0x8915
# What avocado-vt 113 gives a guest by default and these guests have not; its CPUs are let run by `qemu_power.start`.
NOTHING_ELSE = {
    "cdroms": "",
    "display": "none",
    "vga": "none",
    "usbs": "",
    "usb_devices": "",
    "paused_after_start_vm": "yes",
}


class QemuStand(AnyStand[Below]):
    """The guests of a case below libvirt, and what the case asks of them; as `stand.Stand`."""

    def bring_up(self) -> None:
        """Have every guest running, booted, with its canaries laid."""
        self.each(qemu_power.start)
        self.arm()


def _as_it_is(shape: Shape) -> Shape:
    return shape


@contextmanager
def described(case: Case[Any], otherwise: Callable[[Shape], Shape] = _as_it_is) -> Iterator[QemuStand]:
    """
    Hold the case's guests ready to be started for the length of the block; at its end none runs and no file is left.

    *otherwise* makes of what the host configuration gives a VM what this case needs of it, as in `libvirt_guests.defined`.
    """
    wanted = case.wanted
    image = images.load(wanted.image_home, wanted.image)
    accelerator = capability.accelerator_of(wanted.qemu_binary, case.record)
    room = capability.capacity(wanted.reserve_cpus, wanted.reserve_memory_mib, wanted.max_memory_mib)
    found = [otherwise(shape) for shape in host_config.shapes(case.identity.host_config, wanted, room)]
    with ExitStack() as stack:
        observer = stack.enter_context(Observer(bridge_address(str(case.params["netdst"])), wanted.witness_port))
        guests: list[Guest] = []
        try:
            for spec in host_config.specs(found, f"{marks.PREFIX}{case.token}", wanted):
                console = str(Path(case.test.logdir) / f"serial-serial0-{spec.name}.log")
                heartbeat = free_socket_path("/run", spec.name)
                place = Place(accelerator, wanted.qemu_binary, "", console, heartbeat, wanted.witness_port, case.token)
                guest = Guest(spec, image, place, wanted)
                for path in (place.heartbeat, *(disk.path for disk in spec.disks)):
                    stack.enter_context(temporary_path(path))
                make_disks(spec)
                params = _params(case, guest)
                vm = case.env.create_vm("qemu", None, spec.name, params, case.test.bindir)
                guest.join(vm, observer, case.record, stalled.below(vm))
                stack.callback(case.env.unregister_vm, spec.name)
                stack.enter_context(temporary_process(f"-name {spec.name}", functools.partial(_pids, spec.name)))
                guests.append(guest)
            yield QemuStand(guests, Below(case.record), case)
        finally:
            # All guests at once, as under libvirt: avocado-vt 113 looks every half second whether a QEMU has ended.
            together.each(guests, lambda guest: _put_down(case, guest))


def _put_down(case: Case[Any], guest: Guest) -> None:
    """Look what became of the guest, then end it."""
    examine(guest, case.record)
    qemu_power.off(guest)


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
                # The threads of its virtual CPUs are called so, as under libvirt.
                "-name debug-threads=on "
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
        "vcpu_cores": str(spec.most_vcpus),
        "vcpu_threads": "1",
        "vcpu_maxcpus": str(spec.most_vcpus),
        "mem": str(spec.boot_kib // 1024),
        **qemu_memory.params(spec),
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
