# SPDX-License-Identifier: GPL-2.0-or-later
"""Each seeded defect of users, networks, LUNs and daemons is named, and nothing else is; what could not be seen is never approved."""

import pytest

from avocado_hvqual.preparation import registry, running
from avocado_hvqual.preparation.model import Answer, Ran
from tests.preparation.services import BOOTED, NODE, ONE_DAEMON, V, systemd
from tests.preparation.services_broken import SEEDS

OURS = ("user.non_root", "network.default", "network.custom_topology", "storage.raw_lun", "mgmt_daemon")
CHECKS = [check for check in registry.CHECKS if check.name in OURS]
GONE = Ran(None, "", "is not installed")


def found(node, checks=CHECKS):
    return {result.check.name: result for result in running.ask_all(node, checks)}


def test_a_node_in_order_has_no_defect():
    results = found(NODE)
    assert set(results) == set(OURS)
    assert {name: result.looked for name, result in results.items() if result.answer is not Answer.MET} == {}


def test_a_node_with_systemd_in_order_has_no_defect():
    node = NODE.changed(BOOTED, systemd("libvirtd.service"), ONE_DAEMON)
    assert found(node)["mgmt_daemon"].answer is Answer.MET


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seeded_defect_is_named_and_nothing_else(seed):
    files, commands, expected, subject = SEEDS[seed]
    results = found(NODE.changed(files, commands, expected))
    defects = [defect for result in results.values() for defect in result.looked.defects]
    assert [defect.subject for defect in defects] == [subject]
    assert defects[0].found
    assert defects[0].expected
    assert defects[0].capability
    assert [result.looked.reason for result in results.values() if "itself broke" in result.looked.reason] == []


# What is asked only where another answer was already no approval, or is told as a fact. Of the outsider's groups a wrong one is told;
# what counts is that the outsider is refused.
TOLD_ONLY = {"nft list table ip libvirt_network", "id -nG nobody"}
# No domain, and none with a disk: then a LUN is nobody's.
DISKS = tuple(words for words in NODE.commands if "domblklist" in words)
NOBODYS = {"storage.raw_lun": (f"{V} list --all --name", *DISKS)}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("answer", [GONE, Ran(0, ""), Ran(0, "{}"), Ran(0, "[1]"), Ran(1, "", "Operation refused")])
def test_what_cannot_be_asked_is_not_approved(check, answer):
    NODE.asked.clear()
    assert running.ask(NODE, check).answer is Answer.MET
    for words in dict.fromkeys(NODE.asked):
        if words in TOLD_ONLY or (answer.ok and words in NOBODYS.get(check.name, ())):
            continue
        result = running.ask(NODE.changed(commands={words: answer}), check)
        assert result.answer is not Answer.MET, (words, result.looked)
        assert "itself broke" not in result.looked.reason, (words, result.looked.reason)


def test_a_disk_that_libvirt_tells_of_in_other_words_is_not_taken_for_none():
    for words in DISKS:
        assert found(NODE.changed(commands={words: Ran(0, "{}")}))["storage.raw_lun"].answer is Answer.UNKNOWN


def test_files_that_are_gone_approve_nothing():
    may = ("/etc/os-release", "/usr/share", "/sys/block/vda", "/proc/11/", "/proc/120/", "/proc/121/")
    for path in NODE.files:
        if path.startswith(may) or path.endswith(("-nic/port_no", "holders/dm-0", "dm/uuid", "device/state")):
            continue
        results = found(NODE.changed(files={path: None}))
        assert any(result.answer is not Answer.MET for result in results.values()), path


def test_another_failure_than_a_refusal_says_nothing_of_the_outsider():
    outsider = next(words for words in NODE.commands if words.startswith("runuser -u nobody"))
    for said in ("runuser: user nobody does not exist", "virsh: command not found", ""):
        result = found(NODE.changed(commands={outsider: Ran(1, "", said)}))["user.non_root"]
        assert result.answer is Answer.UNKNOWN


def test_polkit_that_refuses_is_a_refusal_too():
    outsider = next(words for words in NODE.commands if words.startswith("runuser -u nobody"))
    said = (
        "error: authentication unavailable: no polkit agent available to authenticate action 'org.libvirt.unix.manage'"
    )
    assert found(NODE.changed(commands={outsider: Ran(1, "", said)}))["user.non_root"].answer is Answer.MET


def test_no_network_is_stopped_under_a_guest():
    dead = {"/proc/90/comm": None, "/proc/90/cmdline": None}
    (defect,) = found(NODE.changed(dead))["network.default"].looked.defects
    assert defect.remedy.commands
    used = NODE.changed({**dead, "/sys/class/net/virbr0/brif/vnet3/port_no": "1"})
    (defect,) = found(used)["network.default"].looked.defects
    assert defect.remedy is None


def test_forwarding_that_libvirt_switches_on_is_switched_off_again():
    """Starting a network is not undone by stopping it: libvirt leaves the kernel forwarding."""
    for seed in ("network undefined", "network inactive"):
        _files, commands, _expected, subject = SEEDS[seed]
        for switch, off in (("0\n", True), ("1\n", False)):
            node = NODE.changed({"/proc/sys/net/ipv4/ip_forward": switch}, commands)
            defects = {defect.subject: defect for defect in found(node)["network.default"].looked.defects}
            assert (("sysctl", "-w", "net.ipv4.ip_forward=0") in defects[subject].remedy.undo) is off


def test_nothing_described_is_not_applicable_and_never_met():
    node = NODE.changed(expected={"networks": [], "daemons": [], "storage": {"luns": [], "rdma_links": []}})
    results = found(node)
    assert {name for name, it in results.items() if it.answer is Answer.NOT_APPLICABLE} == set(OURS) - {"user.non_root"}


def test_a_description_that_says_too_little_is_not_taken_for_a_wish():
    for broken in ({"kind": "routed"}, {"kind": "vlan", "bridge": "br0"}, {"bridge": "br0"}):
        node = NODE.changed(expected={"networks": [{"name": "x", **broken}]})
        assert found(node)["network.custom_topology"].answer is Answer.UNKNOWN
    node = NODE.changed(expected={"networks": [{"name": "x", "kind": "bridge", "bridge": "br0", "reaches": ["y"]}]})
    assert "y, which" in found(node)["network.custom_topology"].looked.reason


def test_native_nft_rules_of_later_libvirt_are_understood():
    rules = """table ip libvirt_network {
	chain guest_output { ip saddr 192.168.122.0/24 iif "virbr0" counter packets 0 bytes 0 accept }
	chain guest_nat { ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 counter packets 0 bytes 0 masquerade }
}
"""
    words = "nft list table ip libvirt_network"
    bare = {"iptables -w 5 -t nat -S": Ran(0, ""), "iptables -w 5 -t filter -S": Ran(0, "")}
    assert found(NODE.changed(commands={**bare, words: Ran(0, rules)}))["network.default"].answer is Answer.MET
    for gone in ("masquerade", "accept"):
        result = found(NODE.changed(commands={**bare, words: Ran(0, rules.replace(gone, "drop"))}))["network.default"]
        assert [defect.subject for defect in result.looked.defects] == ["NAT rules of default"]
