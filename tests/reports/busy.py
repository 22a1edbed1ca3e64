# SPDX-License-Identifier: GPL-2.0-or-later
"""A made-up campaign with everything in it that a report draws: many VMs, flavors, twins, seeds, warm guests, trouble of every kind."""

import random
from dataclasses import replace

from avocado_hvqual.model.case import CaseKey
from avocado_hvqual.model.observation import Evidence, Observation, Problem, Seed, Step
from avocado_hvqual.model.record import Attempt, HealthEvent
from tests.strategies import header, judged, planned, record, row, trace

BEGAN = 1_795_000_000.0
FLAVORS = ("small", "cpu-optimised", "memory-optimised", "io-optimised")
LIFECYCLE = (
    "start",
    "shutdown",
    "destroy",
    "restart",
    "save_restore",
    "managed_save",
    "snapshot.internal",
    "autostart",
)
SLOW = "libvirt:hvqual.lifecycle.start:n_equal"
FROZEN = "libvirt:hvqual.lifecycle.save_restore:patterns"
BOTH = "libvirt:hvqual.lifecycle.restart:single_big"
BELOW = "qemu:hvqual.lifecycle.shutdown:single_big:twin=boot"
UNTRIED = "libvirt:hvqual.lifecycle.autostart:patterns"
WALK = "libvirt:hvqual.lifecycle.destroy:n_equal"
SLA = "libvirt:hvqual.cloud.sla.start_time:patterns"


def vms_of(key, number):
    wanted = {"single_big": 1, "n_equal": number, "patterns": 4}[CaseKey.parse(key).configuration]
    return [f"hvq-50a97520-{place}" for place in range(1, wanted + 1)]


def keys():
    found = [
        f"libvirt:hvqual.lifecycle.{name}:{place}"
        for name in LIFECYCLE
        for place in ("single_big", "n_equal", "patterns")
    ]
    twins = [
        f"{backend}:hvqual.lifecycle.{name}:single_big:twin=boot"
        for name in ("start", "shutdown", "restart")
        for backend in ("libvirt", "qemu")
    ]
    sla = [f"libvirt:hvqual.cloud.sla.start_time:{place}" for place in ("single_big", "n_equal", "patterns")]
    return [*found, *twins, *sla, "qemu:hvqual.cloud.sla.start_time:single_big"]


class Test:
    """Writes what a test of a case writes, second by second."""

    def __init__(self, key, number, rounds, chance):
        self.key, self.chance, self.rounds = key, chance, rounds
        self.vms, self.now = vms_of(key, number), 1000.0
        self.steps, self.observations, self.problems = [], [], []

    def together(self, name, low, high):
        """Do one operation on all VMs at a time; return how long each took."""
        took = {vm: self.chance.uniform(low, high) for vm in self.vms}
        self.steps += [Step(name, vm, self.now, self.now + seconds) for vm, seconds in took.items()]
        self.now += max(took.values())
        return took

    def see(self, name, value, unit="s", vm=None, label=""):
        self.observations.append(Observation(name, value, unit, self.now, 1, vm, label))

    def started(self):
        slow = 6.0 if self.key == SLOW else 0.0
        for vm, seconds in self.together("start", 2.8, 4.6 + slow).items():
            label = FLAVORS[int(vm[-1]) % 4] if self.key.endswith(":patterns") else ""
            self.see("guest_ready", round(seconds, 3), vm=vm, label=label)
            self.see("domain_running", round(seconds / 9, 3), vm=vm, label=label)

    def run(self):
        begin = self.now
        self.now += 0.4
        for _round in range(self.rounds):
            self.started()
            self.steps.append(Step("hold", None, self.now, self.now + 1.0))
            self.now += 1.0
            self.together(CaseKey.parse(self.key).hv_id.rpartition(".")[2].replace("_", " "), 0.3, 1.4)
        for vm in self.vms:
            self.see("heartbeat_gap", 4.5 if self.key == FROZEN and vm == self.vms[-1] else 0.31, vm=vm)
        self.see("warm_guests", 0 if self.key.split(":")[2] == "single_big" else len(self.vms), "count")
        return self.trouble(begin)

    def trouble(self, begin):
        failed = {
            FROZEN: Problem("guest-freeze", f"'{self.vms[-1]}' stood still for 4.5 s.", self.vms[-1], self.now - 1),
            BOTH: Problem("guest-reboot", "'hvq-50a97520-1' booted anew.", self.vms[0], self.now - 0.5),
            BOTH.replace("libvirt", "qemu") + ":twin=boot": Problem("guest-reboot", "It booted anew.", None, self.now),
            BELOW: Problem("operation-refused", "QMP 'system_powerdown' was refused.", self.vms[0], self.now - 0.2),
            WALK: Problem(
                "wrong-result", "After 7 steps 'hvq-50a97520-2' is paused, expected running.", None, self.now
            ),
        }.get(self.key)
        if self.key == WALK:
            self.steps.append(Step("resume", self.vms[1], self.now - 0.8))
        logdir = (
            f"jobs/job-1/test-results/1-type_specific.avocado-hvqual.{self.key.split(':')[1]}.{self.key.split(':')[2]}"
        )
        made = trace(
            self.key,
            (),
            observations=tuple(self.observations),
            problems=(failed,) if failed else (),
            status="fail" if failed else "pass",
            message=failed.message if failed else "",
            evidence=(Evidence("console-1.log", f"{logdir}/evidence/console-1.log", "0" * 64, "console of VM 1"),),
            mono=begin,
            mono_last=self.now + 0.6,
            steps=tuple(self.steps),
            seeds=(Seed("12345", "walk over 4 VMs"),) if self.key == WALK else (),
        )
        return made, logdir


def campaign(number=4, rounds=3, wanted=None):
    """Return the record of a campaign of these cases (all by default), each with *number* VMs where it has n."""
    chance, now, attempts = random.Random(7), BEGAN + 5, []
    asked = wanted or keys()
    for key in asked:
        if key == UNTRIED:
            continue
        made, logdir = Test(key, number, rounds, chance).run()
        status = "FAIL" if made.status == "fail" else "PASS"
        line = len(attempts) + 10
        took = made.seconds + 1.7
        attempts.append(
            Attempt(key, status, line, made.message, "", logdir, took, replace(made, wall=now + 0.8), began=now)
        )
        now += took + 0.5
    health = (
        HealthEvent("host-lockup", "watchdog: BUG: soft lockup - CPU#1 stuck for 23s!", "kernel.log", FROZEN, now - 60),
        HealthEvent("libvirtd-restart", "libvirtd ran as 811 and now runs as 977.", "", "", now - 20),
    )
    return record(
        *attempts,
        cases=asked,
        header=header(profile="lab", lab=True, command="avocado hvqual run --lab --profile lab", started=BEGAN),
        health=health,
        ended_wall=now + 2,
        planned=tuple(planned(key, limits=_limits(key)) for key in asked),
        required=tuple(map(row, [*asked, "libvirt:hvqual.lifecycle.stats:n_equal"])),
    )


def _limits(key):
    sla = {"guest_ready": "max < 10 s over 3", "domain_running": "max < 10 s over 3"} if ".sla." in key else {}
    ready = {"guest_ready": "max <= 10 s"} if key == SLOW else {}
    return {"heartbeat_gap": "max <= 2 s", **ready, **sla}


def busy():
    return judged(campaign())


def twins():
    """A few of the cases: each layer of a fault once, a walk with its seed, flavors."""
    start = "hvqual.lifecycle.start"
    wanted = [SLOW, f"qemu:{start}:single_big:twin=boot", BOTH, f"{BOTH.replace('libvirt', 'qemu')}:twin=boot"]
    return judged(campaign(3, 1, [*wanted, BELOW, BELOW.replace("qemu", "libvirt"), WALK, UNTRIED, SLA]))
