# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults of memory that comes and goes, as `registry.FAULTS` has them."""

from __future__ import annotations

from avocado_hvqual.faults.fault import Fault

DIMM_PLUG = "hvqual.memory.hotplug.dimm_plug"
DIMM_UNPLUG = "hvqual.memory.hotplug.dimm_unplug"
VIRTIO_MEM = "hvqual.memory.hotplug.virtio_mem"
VIRTIO_MEM_UNPLUG = "hvqual.memory.hotplug.virtio_mem:unplug=device"
BALLOON = "hvqual.memory.hotplug.balloon"
MEMORY_MIX = "hvqual.memory.hotplug.lifecycle_mix"
TWINS = ("qemu:hvqual.memory.hotplug.dimm_plug", "qemu:hvqual.memory.hotplug.dimm_unplug")
DIMMS = (DIMM_PLUG, DIMM_UNPLUG, MEMORY_MIX)

MEMORY = (
    Fault("dimm-plug-does-nothing", DIMMS, r"new in its XML is nothing", "major", lie="attach-device"),
    Fault(
        "dimm-is-smaller",
        DIMMS,
        r"new in its XML is .*65536",
        "major",
        lie="attach-device",
        rewrites="s/>131072</>65536</",
    ),
    Fault(
        "dimm-unplug-does-nothing",
        (DIMM_UNPLUG, MEMORY_MIX),
        r"should have told 'Device removed'",
        "major",
        lie="detach-device",
    ),
    Fault(
        "pattern-flips", (DIMM_PLUG,), r"finds there now has", "critical", act="flip-pattern", step="compare allocation"
    ),
    Fault(
        "pattern-flips-in-virtio-mem",
        (VIRTIO_MEM,),
        r"finds there now has",
        "critical",
        act="flip-pattern",
        step="find pattern",
    ),
    Fault(
        "pattern-flips-in-the-mix",
        (MEMORY_MIX,),
        r"finds there now has",
        "critical",
        act="flip-pattern",
        step="compare memory",
    ),
    Fault(
        "pattern-is-lost-by-unplug",
        (DIMM_UNPLUG,),
        r"finds there now has missing",
        "critical",
        act="lose-pattern",
        step="unplug DIMM",
    ),
    Fault("canary-is-lost-by-unplug", (DIMM_UNPLUG,), r"ram_canary", "critical", act="flip-ram", step="unplug DIMM"),
    Fault(
        "virtio-mem-plug-does-nothing",
        (VIRTIO_MEM, VIRTIO_MEM_UNPLUG),
        r"should have one virtio-mem device",
        "major",
        lie="attach-device",
    ),
    Fault(
        "virtio-mem-resize-does-nothing",
        (VIRTIO_MEM,),
        r"was asked for .* KiB of virtio-mem",
        "major",
        lie="update-memory-device",
    ),
    Fault(
        "balloon-does-nothing",
        (BALLOON, MEMORY_MIX),
        r"should have \(most KiB, KiB now, DIMMs\)",
        "major",
        lie="setmem",
    ),
    Fault(
        "balloon-springs-back", (BALLOON,), r"should be left \d+ KiB; virsh", "major", act="balloon-back", step="hold"
    ),
    Fault("test-is-killed-plugging", DIMMS, r"died without a result", "major", act="kill-test", step="plug DIMM"),
    Fault("test-is-killed-resizing", (VIRTIO_MEM,), r"died without", "major", act="kill-test", step="resize"),
    Fault("test-is-killed-ballooning", (BALLOON,), r"died without", "major", act="kill-test", step="take memory"),
    Fault(
        "qemu-is-killed-with-dimms-below",
        TWINS,
        r"The QEMU of .* is gone though nobody stopped it",
        "critical",
        act="kill-qemu-below",
    ),
    Fault(
        "guest-freezes-with-dimms-below",
        TWINS,
        r"heartbeat_gap",
        "major",
        act="freeze-below",
    ),
    Fault("test-is-killed-plugging-below", TWINS, r"died without a result", "major", act="kill-test", step="plug DIMM"),
)
