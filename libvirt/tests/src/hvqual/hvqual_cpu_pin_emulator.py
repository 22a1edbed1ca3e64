# SPDX-License-Identifier: GPL-2.0-or-later
"""
What of QEMU is no vCPU stays on the host CPUs that emulator and IOThreads are pinned to, also what is born later.

Use case ``hvqual.cpu.pin.emulator``.
"""

from dataclasses import dataclass

from provider.hvqual import pins
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations.emulator_pin import BURSTS, EmulatorPinning, emulator_in_turn


@dataclass(frozen=True)
class Emulator:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Each emulator runs on the host CPU that its guest's definition says; each guest has an IOThread.
    2. Emulator and IOThreads are pinned to one host CPU each: libvirt, virsh, XML, scheduler and cgroups tell it of every thread.
    3. The guests do I/O: the workers that QEMU makes for it stay where what made them is pinned, and the data is right.
    4. All are pinned elsewhere while they run, and do I/O again; then in their definitions, which moves nothing that runs.
    """
    with case(test, params, env, Emulator) as it:
        pins.require_choice(it)
        with defined(it, emulator_in_turn(it.wanted)) as stand:
            stand.bring_up()
            with stand.watched():
                pinning = EmulatorPinning(stand)
                for turn, requests in enumerate(BURSTS, 1):
                    pinning.live(turn)
                    pinning.holds()
                    pinning.burst(requests)
                pinning.config(1)
                pinning.holds()
