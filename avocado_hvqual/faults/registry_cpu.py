# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults of vCPUs that come and go, as `registry.FAULTS` has them."""

from __future__ import annotations

from avocado_hvqual.faults.fault import Fault

PLUG = "hvqual.cpu.hotplug.plug"
UNPLUG = "hvqual.cpu.hotplug.unplug"
ENABLE = "hvqual.cpu.hotplug.individual"
DISABLE = "hvqual.cpu.hotplug.individual:hotplug=unplug"
LOAD = "hvqual.cpu.hotplug.under_load"
LOAD_UNPLUG = "hvqual.cpu.hotplug.under_load:hotplug=unplug"
SEQUENCE = "hvqual.cpu.mix.sequence"
SEQUENCE_UNPLUG = "hvqual.cpu.mix.sequence:hotplug=unplug"
RANDOM = "hvqual.cpu.mix.random_combination"
RANDOM_UNPLUG = "hvqual.cpu.mix.random_combination:hotplug=unplug"
PLUG_BELOW = "qemu:hvqual.cpu.hotplug.plug"
UNPLUG_BELOW = "qemu:hvqual.cpu.hotplug.unplug"
MIXES = (SEQUENCE, SEQUENCE_UNPLUG, RANDOM, RANDOM_UNPLUG)
BY_NUMBER = (PLUG, LOAD, LOAD_UNPLUG, *MIXES)
OTHERWISE = r"has not the vCPUs that were asked for"

CPU_HOTPLUG = (
    Fault("vcpu-plug-does-nothing", BY_NUMBER, OTHERWISE, "major", lie="setvcpus"),
    # The first thing that is asked for there is what libvirt has to refuse.
    Fault(
        "vcpu-refusal-does-nothing",
        (UNPLUG,),
        r"setvcpus .* was reported as done; it cannot be",
        "major",
        lie="setvcpus",
    ),
    Fault("vcpu-by-id-does-nothing", (ENABLE, DISABLE), OTHERWISE, "major", lie="setvcpu"),
    Fault("agent-takes-nothing-offline", (ENABLE,), OTHERWISE, "major", lie="guestvcpus"),
    Fault(
        "plugged-vcpu-stays-offline",
        (PLUG, ENABLE, LOAD, SEQUENCE),
        rf"{OTHERWISE}|compute nothing|ran on CPU",
        "major",
        act="newest-cpu-offline",
        step="plug",
    ),
    Fault("computing-stalls", (PLUG, LOAD), r"compute nothing", "major", act="stall-jobs", step="compute"),
    Fault("memory-flips-in-the-cpu-mix", (SEQUENCE, RANDOM), r"ram_canary", "critical", act="flip-ram", step="plug"),
    Fault(
        "test-is-killed-plugging-vcpus",
        (PLUG, ENABLE, LOAD),
        r"died without a result",
        "major",
        act="kill-test",
        step="plug",
    ),
    Fault(
        "qemu-is-killed-plugging",
        (PLUG_BELOW, UNPLUG_BELOW),
        r"The QEMU of .* is gone though nobody stopped it",
        "critical",
        act="kill-qemu-below",
        step="compute",
    ),
)

CPU_FILTERS = {
    PLUG: "cpu.hotplug.plug single_big",
    UNPLUG: "cpu.hotplug.unplug single_big",
    ENABLE: "cpu.hotplug.individual.enable single_big",
    DISABLE: "cpu.hotplug.individual.disable single_big",
    LOAD: "cpu.hotplug.under_load.plugged single_big",
    LOAD_UNPLUG: "cpu.hotplug.under_load.unplugged single_big",
    SEQUENCE: "cpu.mix.sequence.plugged single_big",
    SEQUENCE_UNPLUG: "cpu.mix.sequence.unplugged single_big",
    RANDOM: "cpu.mix.random_combination.plugged single_big",
    RANDOM_UNPLUG: "cpu.mix.random_combination.unplugged single_big",
    PLUG_BELOW: "cpu.hotplug.plug single_big",
    UNPLUG_BELOW: "cpu.hotplug.unplug single_big",
}
"""How avocado is asked for each."""
