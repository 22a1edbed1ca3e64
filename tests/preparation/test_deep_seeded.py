# SPDX-License-Identifier: GPL-2.0-or-later
"""What the deep checks make of the answers of guests, LUNs and daemons: each thing seeded wrong is named, and nothing else."""

import json

import pytest

from avocado_hvqual.preparation import topology
from avocado_hvqual.preparation.checks import (
    mgmt_daemon_restart,
    network_default_traffic,
    network_topology_traffic,
    raw_lun_pattern,
    user_guest,
)
from avocado_hvqual.preparation.model import Answer, Ran
from avocado_hvqual.preparation.traffic import image_folder
from tests.preparation.captured import CapturedNode
from tests.preparation.services import BOOTED, LISTEN, LOOP, LUN, NETWORKS, NODE, ONE_DAEMON, PS, V, systemd

PROBE = {"ask accelerator": Ran(0, '{"accelerator": "tcg"}')}
PATTERN = next(words for words in NODE.commands if words.startswith("ask lun pattern /dev/dm-0"))
USER = "ask guest_of_user hvqual qemu:///system tcg"
STARTED = {"status": 0, "paused": True, "gone": True, "said": ""}


def subjects(looked):
    return [defect.subject for defect in looked.defects]


class GuestsNode(CapturedNode):
    """A node whose guests say what the test wants."""

    def __init__(self, node, told):
        files = {**node.files, str(image_folder() / "manifest.json"): "{}"}
        super().__init__(files, {**node.commands, **PROBE}, node.expected)
        self.told, self.plan = told, None

    def ask(self, program, *arguments, timeout=20.0):
        if program != "traffic":
            return super().ask(program, *arguments)
        self.plan = json.loads(arguments[0])
        return Ran(0, json.dumps(self.told(self.plan)))


def reached(plan, networks=NETWORKS):
    """What guests say in a topology that is as described."""
    may = {entry["name"]: entry.get("reaches", ()) for entry in networks}
    probes = []
    for probe in plan["probes"]:
        one, other = (name.rpartition("-")[0] for name in (probe["from"], probe["to"]))
        allowed = not other or other in may[one]
        probes.append({**probe, "target": "a", "reached": allowed, "said": "0% loss" if allowed else "100% loss"})
    return {"guests": {}, "probes": probes}


def test_a_topology_as_described_is_met_and_every_pair_was_asked():
    node = GuestsNode(NODE, reached)
    looked = network_topology_traffic.look(node)
    assert (looked.answer, subjects(looked)) == (Answer.MET, [])
    assert len(looked.facts) == 9
    assert len(node.plan["guests"]) == 6
    # A denied pair is tried by way of the host: a guest's own table of routes denies nothing to who changes it.
    denied = [it for it in node.plan["probes"] if it["from"] == "quarantine-1" and it["to"] == "customers-2"]
    assert [it["via"] for it in denied] == ["10.88.1.1"]


@pytest.mark.parametrize("one", ["customers", "quarantine", "fabric"])
@pytest.mark.parametrize("other", ["customers", "quarantine", "fabric"])
def test_a_pair_that_is_otherwise_is_the_one_that_is_named(one, other):
    def told(plan):
        answer = reached(plan)
        for probe in answer["probes"]:
            if (probe["from"], probe["to"]) == (f"{one}-1", f"{other}-2"):
                probe["reached"] = not probe["reached"]
        return answer

    looked = network_topology_traffic.look(GuestsNode(NODE, told))
    assert subjects(looked) == [f"traffic {one} to {other}"]


def test_a_guest_that_reaches_nothing_does_not_prove_that_it_is_denied_something():
    alone = [NETWORKS[0], {**NETWORKS[2], "reaches": []}]
    node = GuestsNode(NODE.changed(expected={"networks": alone}), lambda plan: reached(plan, alone))
    assert network_topology_traffic.look(node).answer is Answer.MET
    dead = GuestsNode(NODE.changed(expected={"networks": alone}), lambda plan: _none(reached(plan, alone)))
    looked = network_topology_traffic.look(dead)
    assert looked.answer is Answer.UNKNOWN
    assert "reached nothing" in looked.reason


def _none(answer):
    return {**answer, "probes": [{**probe, "reached": False} for probe in answer["probes"]]}


def test_guests_without_addresses_are_told_of_before_anything_is_started():
    node = GuestsNode(NODE.changed(expected={"networks": [{**NETWORKS[1], "dhcp": False}]}), reached)
    looked = network_topology_traffic.look(node)
    assert (looked.answer, node.plan) == (Answer.UNKNOWN, None)


def test_a_network_that_is_missing_is_defined_as_described():
    named = {it.name: it for it in topology.wanted(NODE)}
    assert "<forward mode='route'/>" in topology.definition(named["customers"])
    assert "<range start='10.88.2.2' end='10.88.2.254'/>" in topology.definition(named["customers"])
    assert "forward" not in topology.definition(named["quarantine"])
    assert topology.definition(named["fabric"]).endswith("<forward mode='bridge'/><bridge name=\"br0\"/></network>\n")


GUEST = {
    "address": "192.168.122.7",
    "mac": "52:54:00:1:2:3",
    "lease": "192.168.122.7",
    "name_resolved": "192.168.122.7",
}


def in_default(guest=(), unreached=()):
    def told(plan):
        probes = [
            {**it, "target": "a", "reached": it["to"] not in unreached, "said": "100% packet loss"}
            for it in plan["probes"]
        ]
        return {"guests": {"out": {**GUEST, **dict(guest)}}, "probes": probes}

    return network_default_traffic.look(GuestsNode(NODE, told))


def test_a_guest_of_the_default_network_that_gets_all_is_met():
    assert in_default().answer is Answer.MET


@pytest.mark.parametrize(
    ("guest", "unreached", "subject"),
    [
        ({"lease": "192.168.122.8"}, (), "network default: lease"),
        ({"lease": ""}, (), "network default: lease"),
        ({"name_resolved": ""}, (), "network default: DNS"),
        ({"name_resolved": "192.168.122.77"}, (), "network default: DNS"),
        ({}, ("192.168.122.1",), "network default: gateway"),
        ({}, ("outside",), "network default: way out"),
    ],
)
def test_what_a_guest_of_the_default_network_lacks_is_named(guest, unreached, subject):
    looked = in_default(guest, unreached)
    assert subjects(looked) == [subject]
    assert looked.defects[0].capability == "network"


def test_no_lease_is_a_defect_and_no_guest_is_unknown():
    late = {"error": "Waited 40 s for an address for the guest 'hvq-prep-out-1'; it did not happen."}
    assert subjects(network_default_traffic.look(GuestsNode(NODE, lambda _plan: late))) == ["network default: lease"]
    silent = NODE.changed(commands={f"{V} net-info default": Ran(1, "", "timed out")})
    assert "did not answer" in network_default_traffic.look(silent).reason
    broken = {"error": "libvirt did not start the guest 'hvq-prep-out-1': no memory"}
    assert network_default_traffic.look(GuestsNode(NODE, lambda _plan: broken)).answer is Answer.UNKNOWN
    assert network_default_traffic.look(NODE).answer is Answer.UNKNOWN


def test_what_comes_back_from_a_lun_otherwise_is_named():
    assert raw_lun_pattern.look(NODE).answer is Answer.MET
    for key, subject in (("wrong", f"LUN {LUN}: data"), ("not_put_back", f"LUN {LUN}: data before")):
        said = {**json.loads(NODE.commands[PATTERN].stdout), key: ["/dev/sdb at 0"]}
        looked = raw_lun_pattern.look(NODE.changed(commands={PATTERN: Ran(0, json.dumps(said))}))
        assert subjects(looked) == [subject]


def test_a_lun_that_is_somebodys_is_never_written_to():
    for files, commands in (
        ({"/sys/block/loop0/loop0p1/size": "1"}, {}),
        ({"/sys/block/loop0/holders/dm-7": ""}, {}),
        (
            {},
            {
                f"{V} domblklist -- old": Ran(0, " vda   /dev/loop0\n"),
                "readlink -f -- /dev/loop0": Ran(0, "/dev/loop0\n"),
            },
        ),
        ({}, {f"{V} list --all --name": Ran(1, "", "no libvirt")}),
    ):
        node = NODE.changed(files, commands)
        looked = raw_lun_pattern.look(node)
        assert looked.answer is Answer.UNKNOWN
        assert "ask lun pattern /dev/loop0" not in node.asked


def test_a_lun_that_the_program_finds_in_use_is_unknown_and_named():
    said = '{"error": "it is not free: mounted on /srv"}'
    looked = raw_lun_pattern.look(NODE.changed(commands={"ask lun pattern /dev/loop0": Ran(1, said)}))
    assert looked.answer is Answer.UNKNOWN
    assert LOOP in looked.reason


def of_user(run):
    return user_guest.look(NODE.changed(commands={**PROBE, USER: run}))


def test_the_user_started_and_ended_a_guest():
    assert of_user(Ran(0, json.dumps(STARTED))).answer is Answer.MET
    for broken in ({"paused": False}, {"gone": False}, {"status": 1, "said": "error: access denied\n"}):
        looked = of_user(Ran(1, json.dumps({**STARTED, **broken})))
        assert subjects(looked) == ["user hvqual: guest"]
    assert of_user(Ran(1, "", "no such program")).answer is Answer.UNKNOWN
    assert of_user(Ran(0, "{}")).answer is Answer.UNKNOWN


EXPORTER = "prometheus-node-exporter"
OLD, NEW = "    120 Ssl  prometheus-node", "    320 Ssl  prometheus-node"


class Restarting(CapturedNode):
    """A node without systemd that does what the test wants when a daemon is restarted."""

    def __init__(self, after):
        super().__init__(NODE.files, dict(NODE.commands), {**NODE.expected, "daemons": NODE.expected["daemons"][1:2]})
        self.after, self.restarts = after, 0

    def run(self, argv, timeout=10.0):
        if list(argv) != ["service", EXPORTER, "restart"]:
            return super().run(argv)
        self.restarts += 1
        self.commands.update(self.after)
        self.files = {**self.files, "/proc/320/comm": "prometheus-node\n"}
        return Ran(0)


def said(words, old, new):
    assert old in NODE.commands[words].stdout
    return {words: Ran(0, NODE.commands[words].stdout.replace(old, new))}


RENEWED = {**said(PS, OLD, NEW), **said(LISTEN, "pid=120", "pid=320")}


def test_a_daemon_that_comes_back_is_met():
    node = Restarting(RENEWED)
    looked = mgmt_daemon_restart.look(node)
    assert (looked.answer, node.restarts) == (Answer.MET, 1)
    assert any("120 -> 320" in str(fact.value) for fact in looked.facts)


@pytest.mark.parametrize(
    ("after", "subject"),
    [
        ({}, "daemon node exporter: after a restart"),
        ({**RENEWED, **said(LISTEN, "*:9100", "*:9999")}, "daemon node exporter: after a restart"),
        ({**RENEWED, f"{V} list --uuid": Ran(0, "")}, "daemon node exporter: guests"),
    ],
)
def test_a_restart_that_goes_wrong_is_named(monkeypatch, after, subject):
    monkeypatch.setattr(mgmt_daemon_restart, "_TIMEOUT_S", 0.1)
    looked = mgmt_daemon_restart.look(Restarting(after))
    assert subjects(looked) == [subject]


class Supervised(CapturedNode):
    """A node with systemd: each of *pids* is libvirtd's process after one more restart or kill."""

    def __init__(self, *pids):
        node = NODE.changed(BOOTED, systemd("libvirtd.service"), ONE_DAEMON)
        super().__init__(node.files, dict(node.commands), node.expected)
        self.pids, self.did = list(pids), []

    def run(self, argv, timeout=10.0):
        if list(argv[:2]) not in (["systemctl", "restart"], ["systemctl", "kill"]):
            return super().run(argv)
        self.did.append(argv[1])
        self.commands.update(systemd("libvirtd.service", **self.pids.pop(0)))
        return Ran(0)


def test_a_daemon_is_restarted_and_killed_and_comes_back_from_both():
    node = Supervised({"MainPID": "12"}, {"MainPID": "13"})
    assert mgmt_daemon_restart.look(node).answer is Answer.MET
    assert node.did == ["restart", "kill"]


@pytest.mark.parametrize("after", [{"MainPID": "0", "ActiveState": "failed"}, {"MainPID": "12"}])
def test_a_daemon_that_stays_down_after_a_crash_is_named(monkeypatch, after):
    monkeypatch.setattr(mgmt_daemon_restart, "_TIMEOUT_S", 0.1)
    looked = mgmt_daemon_restart.look(Supervised({"MainPID": "12"}, after))
    assert subjects(looked) == ["daemon libvirt: after a kill"]


def test_a_daemon_that_is_not_well_is_not_restarted():
    node = Restarting(RENEWED)
    node.commands.update(said(LISTEN, "*:9100", "*:9999"))
    assert mgmt_daemon_restart.look(node).answer is Answer.UNKNOWN
    assert node.restarts == 0
