# SPDX-License-Identifier: GPL-2.0-or-later
"""Every fault that can be seeded, written out: what lies or happens, and the finding that must come of it."""

from __future__ import annotations

from avocado_hvqual.faults.fault import Fault
from avocado_hvqual.faults.registry_cpu import CPU_HOTPLUG
from avocado_hvqual.faults.registry_memory import MEMORY
from avocado_hvqual.faults.registry_pages import PAGES
from avocado_hvqual.faults.registry_pins import PINS
from avocado_hvqual.faults.registry_prep import PREPARATION

START = "hvqual.lifecycle.start"
SHUTDOWN = "hvqual.lifecycle.shutdown"
DESTROY = "hvqual.lifecycle.destroy"
SAVE_RESTORE = "hvqual.lifecycle.save_restore"
MANAGED_SAVE = "hvqual.lifecycle.managedsave"
SNAPSHOT_INTERNAL = "hvqual.lifecycle.snapshot.internal"
SNAPSHOT_ON_RAW = "hvqual.lifecycle.snapshot.internal:disk=raw"
SNAPSHOT_EXTERNAL = "hvqual.lifecycle.snapshot.external"
SNAPSHOT_REPEAT = "hvqual.lifecycle.snapshot.repeat"
START_TIME = "hvqual.cloud.sla.start_time"
CONCURRENT = "hvqual.cloud.sla.start_time_concurrent"
SINGLE_BIG = "hvqual.hostcfg.single_big"
N_EQUAL = "hvqual.hostcfg.n_equal"
PATTERNS = "hvqual.hostcfg.patterns"
RESTART = "hvqual.lifecycle.restart"
SUSPEND_RESUME = "hvqual.lifecycle.suspend_resume"
PM_SUSPEND = "hvqual.lifecycle.pm_suspend"
IMPORT = "hvqual.lifecycle.import"
EDIT = "hvqual.lifecycle.edit"
STATS = "hvqual.lifecycle.stats"
DEFINE_UNDEFINE = "hvqual.lifecycle.define_undefine"
AUTOSTART = "hvqual.lifecycle.autostart"
MAX_VCPUS = "hvqual.cpu.limit.max_vcpus"
MAX_VCPUS_LIFECYCLE = "hvqual.cpu.limit.max_vcpus_lifecycle"
CPU_NUMA = "hvqual.cpu.numa.tune"
GUEST_TOPOLOGY = "hvqual.cpu.numa.guest_topology"
TWINS = (
    "qemu:hvqual.lifecycle.start",
    "qemu:hvqual.lifecycle.shutdown",
    "qemu:hvqual.lifecycle.restart",
    "qemu:hvqual.lifecycle.suspend_resume",
    "qemu:hvqual.lifecycle.save_restore",
)
DEFINITION = (IMPORT, EDIT, STATS, DEFINE_UNDEFINE, AUTOSTART)
WATCHED = (START, SHUTDOWN, DESTROY, SAVE_RESTORE, RESTART, SUSPEND_RESUME, PM_SUSPEND, *DEFINITION)


SNAPSHOTS = (SNAPSHOT_INTERNAL, SNAPSHOT_EXTERNAL, SNAPSHOT_REPEAT)
SAVED = (MANAGED_SAVE, *SNAPSHOTS)


FAULTS = (
    Fault(
        "start-does-nothing",
        (START, START_TIME, CONCURRENT, SINGLE_BIG),
        r"should be (running|shut off) .* libvirt says shut off",
        "major",
        lie="start",
    ),
    Fault(
        "shutdown-does-nothing",
        (SHUTDOWN,),
        r"shutdown was accepted, but the guest is running",
        "major",
        lie="shutdown",
    ),
    Fault(
        "destroy-does-nothing",
        (DESTROY, SNAPSHOT_EXTERNAL),
        r"should be shut off .* libvirt says running",
        "major",
        lie="destroy",
    ),
    Fault("save-does-nothing", (SAVE_RESTORE,), r"should be shut off .* libvirt says running", "major", lie="save"),
    Fault(
        "restore-does-nothing",
        (SAVE_RESTORE, SNAPSHOT_EXTERNAL),
        r"should be running .* libvirt says shut off",
        "major",
        lie="restore",
    ),
    Fault(
        "managedsave-does-nothing",
        (MANAGED_SAVE, DEFINE_UNDEFINE),
        # A guest that is not defined has nothing to be saved into: there the lie is told where a refusal is due.
        r"should be shut off .* libvirt says running|'virsh managedsave .* should be refused \(transient\); it reported success",
        "major",
        lie="managedsave",
    ),
    Fault(
        "managed-save-is-lost",
        (MANAGED_SAVE,),
        r"should have a managed save",
        "major",
        act="drop-managed-save",
        step="restart libvirtd",
    ),
    Fault(
        "snapshot-does-nothing",
        (*SNAPSHOTS, SNAPSHOT_ON_RAW),
        r"was reported as taken|should have the snapshots",
        "major",
        lie="snapshot-create-as",
    ),
    Fault(
        "revert-does-nothing",
        SNAPSHOTS,
        r"should be running \(from_snapshot\) .* libvirt says running|was reported as done by a libvirt that cannot",
        "major",
        lie="snapshot-revert",
    ),
    Fault("snapshot-stays", SNAPSHOTS, r"should have the snapshots", "major", lie="snapshot-delete"),
    Fault("commit-does-nothing", (SNAPSHOT_EXTERNAL,), r"should be read by way of", "major", lie="blockcommit"),
    Fault("test-is-killed-saving", (MANAGED_SAVE,), r"died without a result", "major", act="kill-test", step="managed"),
    Fault(
        "test-is-killed-restarting",
        (MANAGED_SAVE, AUTOSTART),
        r"died without a result",
        "major",
        act="kill-test",
        step="restart",
    ),
    Fault("test-is-killed-snapshotting", SNAPSHOTS, r"died without a result", "major", act="kill-test", step="snap"),
    Fault("test-is-killed-reverting", SNAPSHOTS, r"died without a result", "major", act="kill-test", step="revert"),
    Fault("memory-of-saved-flips", SAVED, r"ram_canary", "critical", act="flip-ram"),
    Fault("reboot-does-nothing", (RESTART,), r"restart of .* was accepted, but it goes on", "major", lie="reboot"),
    Fault("reset-does-nothing", (RESTART,), r"restart of .* was accepted, but it goes on", "major", lie="reset"),
    Fault(
        "suspend-does-nothing", (SUSPEND_RESUME,), r"should be paused .* libvirt says running", "major", lie="suspend"
    ),
    Fault(
        "resume-does-nothing",
        (SUSPEND_RESUME, START),
        r"should be running .* libvirt says paused",
        "major",
        lie="resume",
    ),
    Fault("pause-ends-by-itself", (SUSPEND_RESUME,), r"should stand still", "major", act="cont", step="stand still"),
    Fault(
        "sleep-does-nothing",
        (PM_SUSPEND,),
        r"should be pmsuspended .* libvirt says running",
        "major",
        lie="dompmsuspend",
    ),
    Fault(
        "wake-does-nothing", (PM_SUSPEND,), r"should be running .* libvirt says pmsuspended", "major", lie="dompmwakeup"
    ),
    Fault("sleeper-wakes-by-itself", (PM_SUSPEND,), r"should stand still", "major", act="wake-up", step="stand still"),
    Fault(
        "power-is-cut-instead",
        (SHUTDOWN,),
        # By which of these the case meets a QEMU that goes while it is asked to shut down is a matter of milliseconds.
        r"should be shut off \(shutdown\)|virsh shutdown .* was refused|should be one QEMU|should hold taps and lock disks while it runs",
        "major",
        act="kill-qemu",
        step="shut down",
    ),
    Fault(
        "qemu-is-killed-below",
        TWINS,
        r"The QEMU of .* is gone though nobody stopped it",
        "critical",
        act="kill-qemu-below",
    ),
    Fault("guest-freezes-below", TWINS, r"heartbeat_gap", "major", act="freeze-below"),
    Fault("link-goes-down-below", TWINS, r"network_gap", "major", act="link-down-below"),
    Fault("autostart-does-nothing", (AUTOSTART,), r"should be flagged for the start", "major", lie="autostart"),
    Fault(
        "unflagged-is-started",
        (AUTOSTART,),
        r"is not to be started by libvirt's daemon",
        "major",
        act="start-others",
        step="stay off",
    ),
    Fault(
        "libvirtd-restarts", (AUTOSTART,), r"libvirtd is not the process that it was", "major", act="restart-libvirtd"
    ),
    Fault(
        "define-does-nothing",
        (DEFINE_UNDEFINE, IMPORT, START),
        r"libvirt-python knows no such domain",
        "major",
        lie="define",
    ),
    Fault(
        "undefine-does-nothing",
        (DEFINE_UNDEFINE, IMPORT),
        r"should have sent the events .*Undefined|should be transient or gone",
        "major",
        lie="undefine",
    ),
    Fault("rename-does-nothing", (DEFINE_UNDEFINE,), r"should be called .*-renamed", "major", lie="domrename"),
    Fault("create-does-nothing", (DEFINE_UNDEFINE,), r"should be paused .* libvirt says absent", "major", lie="create"),
    Fault("metadata-does-nothing", (DEFINE_UNDEFINE,), r"keeps no snapshot", "major", lie="snapshot-create"),
    Fault("edit-does-nothing", (EDIT,), r"after virsh reported success; its definition", "major", lie="edit"),
    Fault("edit-touches-what-runs", (EDIT,), r"unedited_until_restart", "major", act="balloon"),
    Fault(
        "domstats-tells-old-numbers",
        (STATS,),
        r"block_written_error|tells no memory",
        "major",
        lie="domstats",
        replays=True,
    ),
    Fault("cpu-stats-tells-old-numbers", (STATS,), r"cpu_stats_error", "major", lie="cpu-stats", replays=True),
    Fault("virt-install-does-nothing", (IMPORT,), r"libvirt-python knows no such domain", "major", lie="virt-install"),
    Fault("image-is-written", (IMPORT,), r"image_as_known|image_unwritten", "major", act="scribble", step="start"),
    Fault(
        "test-is-killed-renaming", (DEFINE_UNDEFINE,), r"died without a result", "major", act="kill-test", step="rename"
    ),
    Fault(
        "test-is-killed-undefining",
        (DEFINE_UNDEFINE,),
        r"died without",
        "major",
        act="kill-test",
        step="undefine while",
    ),
    Fault("test-is-killed-importing", (IMPORT,), r"died without", "major", act="kill-test", step="import by virt"),
    Fault("test-is-killed-editing", (EDIT,), r"died without a result", "major", act="kill-test", step="edit"),
    Fault("guest-reboots", WATCHED, r"boot_id_changes", "critical", act="reboot"),
    Fault("memory-flips", WATCHED, r"ram_canary", "critical", act="flip-ram"),
    Fault("disk-flips", WATCHED, r"disk_canary", "critical", act="flip-disk"),
    Fault("guest-freezes", WATCHED, r"heartbeat_gap", "major", act="freeze"),
    Fault("guest-is-stopped", WATCHED, r"heartbeat_gap", "major", act="stop-cont"),
    Fault("link-goes-down", WATCHED, r"network_gap", "major", act="link-down"),
    Fault("start-takes-11-s", (START_TIME, CONCURRENT), r"guest_ready", "critical", lie="start", delay=11),
    Fault("start-stalls", (START_TIME, CONCURRENT), r"guest_ready", "critical", act="stall-one", step="start"),
    Fault("vm-is-throttled", (SINGLE_BIG, N_EQUAL), r"vcpu_use|share_deviation", "major", act="throttle", step="load"),
    Fault("vm-is-ballooned", (SINGLE_BIG, N_EQUAL, PATTERNS), r"gives memory", "major", act="balloon", step="load"),
    Fault("cpu-goes-offline", (SINGLE_BIG, PATTERNS), r"1 CPUs instead of 2", "major", act="cpu-offline", step="load"),
    Fault("pin-is-moved", (PATTERNS,), r"gives pins", "major", act="move-pin", step="load"),
    Fault("nic-is-gone", (PATTERNS,), r"gives network interfaces", "major", act="detach-nic", step="load"),
    Fault("iothread-too-many", (PATTERNS,), r"gives IOThreads", "major", act="add-iothread", step="load"),
    Fault(
        "vcpu-goes-offline",
        (MAX_VCPUS, MAX_VCPUS_LIFECYCLE),
        r"do not work|CPUs online: ",
        "major",
        act="cpu-offline",
        step="work on each vCPU",
    ),
    Fault(
        "numatune-does-nothing",
        (CPU_NUMA,),
        r"was given numatune .* its definition says|was started with its memory on node",
        "major",
        lie="numatune",
    ),
    Fault(
        "plug-into-node-does-nothing", (GUEST_TOPOLOGY,), r"vCPUs were plugged: The guest sees", "major", lie="setvcpus"
    ),
    *CPU_HOTPLUG,
    *MEMORY,
    *PAGES,
    *PINS,
    *PREPARATION,
    Fault("qemu-is-killed", WATCHED, r"The QEMU of .* is gone though nobody stopped it", "critical", act="kill-qemu"),
    Fault("guest-panics", WATCHED, r"The kernel of .* died: Kernel panic", "critical", act="panic"),
    Fault("guest-locks-up", WATCHED, r"told of CPUs that stood still", "major", act="guest-locks-up"),
    Fault("test-is-killed", WATCHED, r"died without a result", "major", act="kill-test"),
    Fault("host-soft-lockup", WATCHED, r"soft lockup", "critical", act="soft-lockup"),
)


def by_name(name: str) -> Fault:
    """Return the fault called *name*; KeyError with all names when there is none."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    message = f"There is no fault '{name}'; there are: {', '.join(fault.name for fault in FAULTS)}."
    raise KeyError(message)
