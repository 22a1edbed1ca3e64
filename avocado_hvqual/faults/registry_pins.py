# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults of where the threads of guests run and of how much CPU time they get, as `registry.FAULTS` has them."""

from __future__ import annotations

from avocado_hvqual.faults.fault import Fault

AFFINITY = "hvqual.cpu.pin.vcpu_affinity"
EMULATOR = "hvqual.cpu.pin.emulator"
WITH_PAGES = "hvqual.cpu.pin.with_hugepage"
UNDER_LOAD = "hvqual.cpu.pin.dynamic_under_load"
BANDWIDTH = "hvqual.cpu.tune.bandwidth"
PINNED = (AFFINITY, EMULATOR, WITH_PAGES, UNDER_LOAD)

PINS = (
    Fault(
        "vcpu-pin-does-nothing",
        (AFFINITY, WITH_PAGES, UNDER_LOAD),
        r"is not pinned as asked: libvirt \(--live\) tells .* virsh \(--live\) tells .* the scheduler tells",
        "major",
        lie="vcpupin",
        asked="--cpulist",
    ),
    Fault(
        "emulator-pin-does-nothing",
        (EMULATOR,),
        r"libvirt \(--live\) tells \d+ of emulator instead of",
        "major",
        lie="emulatorpin",
        asked="--cpulist",
    ),
    Fault(
        "iothread-pin-does-nothing",
        (EMULATOR,),
        r"libvirt \(--live\) tells .* of iothread1 instead of",
        "major",
        lie="iothreadpin",
    ),
    Fault("iothread-is-not-added", (EMULATOR,), r"its QEMU has the IOThreads \[\]", "major", lie="iothreadadd"),
    Fault(
        "pins-are-ignored",
        PINNED,
        r"is not pinned as asked: (?!libvirt).*(the cgroup tells|nothing of that name was pinned)",
        "major",
        act="ignore-pins",
        step="pin",
    ),
    Fault(
        "workers-leave-their-pins",
        (EMULATOR,),
        r"Under I/O .* leaves its pins",
        "major",
        act="ignore-pins",
        step="burst of I/O",
    ),
    Fault(
        "huge-pages-are-not-taken",
        (WITH_PAGES,),
        r"of the pool's free pages \d+ are gone",
        "major",
        emulator="small-pages",
    ),
    Fault(
        "guest-stalls-when-pinned",
        (UNDER_LOAD,),
        r"raised 1 alarms.*self-detected stall",
        "major",
        act="guest-stalls",
        step="pin at random",
    ),
    Fault(
        "guest-takes-another-clock",
        (UNDER_LOAD,),
        r"its clock was '\S+' and is '\S+'",
        "major",
        act="guest-clock",
        step="pin at random",
    ),
    Fault(
        "quota-does-nothing",
        (BANDWIDTH,),
        r"was limited to \d+ us .*libvirt \(--live\) tells .*the cgroup vcpu0 tells",
        "major",
        lie="schedinfo",
        asked="--set",
    ),
    Fault("quota-is-off", (BANDWIDTH,), r"quota_used", "major", act="quota-off", step="work under vcpu"),
    Fault("quota-of-all-is-off", (BANDWIDTH,), r"quota_used", "major", act="quota-off", step="work under global"),
    Fault("test-is-killed-pinning", PINNED, r"died without a result", "major", act="kill-test", step="pin"),
    Fault(
        "test-is-killed-limiting",
        (BANDWIDTH,),
        r"died without a result",
        "major",
        act="kill-test",
        step="work under vcpu",
    ),
)

PIN_FILTERS = {
    AFFINITY: "cpu.pin.vcpu_affinity single_big",
    EMULATOR: "cpu.pin.emulator single_big",
    WITH_PAGES: "cpu.pin.with_hugepage single_big",
    UNDER_LOAD: "cpu.pin.dynamic_under_load single_big",
    BANDWIDTH: "cpu.tune.bandwidth single_big",
}
"""How avocado is asked for each."""
