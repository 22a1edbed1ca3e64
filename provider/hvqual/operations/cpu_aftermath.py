# SPDX-License-Identifier: GPL-2.0-or-later
"""
What becomes of a guest whose vCPU went without libvirt being told: a QEMU that still holds on to what is gone dies of the next change.

Seen with QEMU 7.2 without KVM: it runs on until its memory map changes, by a reset or another plug, and then writes to freed memory.
"""

from __future__ import annotations

from virttest import virsh

from provider.hvqual import host_process, post_mortem
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.operations import boots
from provider.hvqual.wait import WaitTimeoutError, until

LONGEST = 30.0


def outlived(guest: Guest, expect: Expect) -> None:
    """
    Reset the guest, and see whether its QEMU lives on into another boot; observe outlived_unplug (bool).

    What is found is written down beside the failure that led here, which is raised by who calls.
    """
    record = expect.record
    with record.step("reset after a refused unplug", guest.name):
        guest.hang_up()
        before, left = guest.witness.silence(), boots.now(guest)
        virsh.reset(guest.name, uri=expect.uri, ignore_status=True, timeout=expect.timeout)

        def decided() -> bool:
            return not host_process.emulators(guest.name) or bool(boots.since(guest, before or 0.0) - {left})

        try:
            until(decided, LONGEST, f"another boot of '{guest.name}'")
        except WaitTimeoutError as error:
            record.problem(
                "guest-freeze", f"'{guest.name}' does not boot again after a refused unplug. {error}", guest.name
            )
        record.observe("outlived_unplug", bool(host_process.emulators(guest.name)), "bool", guest.name)
        post_mortem.crashed(guest, record)
