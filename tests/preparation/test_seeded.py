# SPDX-License-Identifier: GPL-2.0-or-later
"""Each seeded defect of a node is named, and nothing else is; what could not be seen is never approved."""

import pytest

from avocado_hvqual.preparation import registry, running
from avocado_hvqual.preparation.model import Answer, Ran
from tests.preparation.seeds import GONE, NODE, PROBE, QEMU, QUERY, SEEDS

OURS = (
    "packages",
    "kernel.level",
    "hw_virt",
    "hotplug.modules",
    "hotplug.kconfig",
    "host.profile",
    "time.sync",
    "kdump",
    "qemu.builds",
    "userspace_versions",
    "verify_install",
)
CHECKS = [check for check in registry.CHECKS if check.name in OURS]


def found(node, checks=CHECKS):
    return {result.check.name: result for result in running.ask_all(node, checks)}


def test_a_node_in_order_has_no_defect():
    results = found(NODE)
    assert set(results) == set(OURS)
    assert {name: result.looked for name, result in results.items() if result.answer is not Answer.MET} == {}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seeded_defect_is_named_and_nothing_else(seed):
    files, commands, expected, subject = SEEDS[seed]
    results = found(NODE.changed(files, commands, expected))
    defects = [defect for result in results.values() for defect in result.looked.defects]
    assert [defect.subject for defect in defects] == [subject]
    assert defects[0].found
    assert defects[0].expected
    broken = [result.looked.reason for result in results.values() if "itself broke" in result.looked.reason]
    assert broken == []


def test_a_driver_that_is_loaded_when_its_device_is_opened_is_no_defect():
    result = found(NODE.changed({"/sys/module/tun/initstate": None}, {}, {}))["hw_virt"]
    assert result.answer is Answer.MET
    assert [fact.value for fact in result.looked.facts if fact.name == "tun"] == ["can be loaded"]


TOGETHER = (
    "no vmx",
    "bridge not loaded",
    "no memory cgroup",
    "argument missing",
    "tainted",
    "upgraded, not rebooted",
    "another entry saved",
    "package removed, settings kept",
    "package half installed",
    "command not found",
    "machine type missing",
    "libvirt cannot use it",
    "ssh too old",
    "tool not there",
    "daemon not restarted",
    "memory hotplug left out",
    "the two lists differ",
    "no crash kernel",
    "clock far off",
    "vulnerable",
    "sysctl",
)


def test_many_defects_at_once_are_each_named_and_nothing_else():
    node, subjects = NODE, []
    for seed in TOGETHER:
        files, commands, expected, subject = SEEDS[seed]
        node = node.changed(files, commands, expected)
        subjects.append(subject)
    # Two packages are broken in one list, and only whole ones are verified.
    listed = SEEDS["package removed, settings kept"][1][QUERY].stdout.replace(
        "virtinst\tinstalled", "virtinst\thalf-configured"
    )
    node = node.changed(commands={QUERY: Ran(0, listed)})
    results = found(node)
    assert sorted(it.subject for result in results.values() for it in result.looked.defects) == sorted(subjects)
    assert len(set(subjects)) == len(TOGETHER) > 20
    assert not any("itself broke" in result.looked.reason for result in results.values())


# What is read as a fact only: without it the node is nevertheless what it shall be.
TOLD_ONLY = {
    "/proc/version",
    "/lib/modules/6.1.0-25-amd64/modules.dep",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "/etc/os-release",
    "/boot/grub/grubenv",
    f"dpkg -S {QEMU}",
    f"ask build_id {QEMU}",
    "ask build_id /sys/kernel/notes",
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_what_cannot_be_asked_is_not_approved(check):
    NODE.asked.clear()
    assert running.ask(NODE, check).answer is Answer.MET
    for words in list(dict.fromkeys(NODE.asked)):
        answer = running.ask(NODE.changed(commands={words: GONE}), check)
        assert (answer.answer is Answer.MET) is (words in TOLD_ONLY), (words, answer.looked)
        assert "itself broke" not in answer.looked.reason, answer.looked.reason


# `dpkg --verify` says nothing of files that are whole, and of these others the exit status is the answer.
SILENT = ("dpkg --compare-versions", "which ", "dpkg -S", "dpkg --verify", "dpkg-query -W '-f=${db")
SPEAKING = [words for words in NODE.commands if words not in TOLD_ONLY and not words.startswith(SILENT)]


@pytest.mark.parametrize("words", SPEAKING)
def test_a_command_that_says_nothing_or_nonsense_approves_nothing(words):
    for said in ("", "\x1b[2J{}\0 ]", "{}", "[1]"):
        results = found(NODE.changed(commands={words: Ran(0, said)}))
        assert any(result.answer is not Answer.MET for result in results.values()), said
        assert not any("itself broke" in result.looked.reason for result in results.values())


def test_files_that_are_gone_approve_nothing():
    may = (
        "/sys/class/dmi",
        "/sys/devices/system/cpu/smt",
        "/sys/kernel/mm",
        "/sys/module",
        "/run",
        "/proc/sys/net",
        "/dev",
    )
    for path in NODE.files:
        if path in TOLD_ONLY or path.startswith(may) or "vulnerabilities" in path or "modules.builtin" in path:
            continue
        results = found(NODE.changed(files={path: None}))
        assert any(result.answer is not Answer.MET for result in results.values()), path


def test_what_is_not_required_is_told_and_not_counted_and_never_met():
    files, commands, _, _ = SEEDS["kvm runs nothing"]
    node = NODE.changed(files, commands, {"not_required": ["kvm"]})
    result = found(node)["hw_virt"]
    assert (result.answer, result.looked.defects) == (Answer.NOT_APPLICABLE, ())
    assert [defect.subject for defect in result.waived] == ["hardware virtualization"]
    both = node.changed({"/sys/module/bridge/initstate": None})
    result = found(both)["hw_virt"]
    assert (result.answer, [it.subject for it in result.looked.defects]) == (Answer.UNMET, ["driver bridge"])
    blind = node.changed(commands={"virt-host-validate qemu": GONE})
    assert found(blind)["hw_virt"].answer is Answer.UNKNOWN


def test_no_accelerator_at_all_is_a_defect_whatever_is_not_required():
    said = '{"accelerator": "none", "kvm": {"ok": false, "reason": "a"}, "tcg": {"ok": false, "reason": "b"}}'
    node = NODE.changed(commands={PROBE: Ran(1, said)}, expected={"not_required": ["kvm"]})
    assert [defect.subject for defect in found(node)["hw_virt"].looked.defects] == ["a guest"]


def test_any_accelerator_that_runs_a_guest_will_do_where_the_description_says_so():
    files, commands, _, _ = SEEDS["kvm runs nothing"]
    node = NODE.changed(files, commands, {"virtualization": {"accelerator": "any", "devices": ["tun"]}})
    assert found(node)["hw_virt"].answer is Answer.MET


def test_a_build_id_that_is_wanted_and_cannot_be_read_is_unknown():
    said = Ran(0, '{"/sys/kernel/notes": {"error": "Permission denied"}}')
    wanted = {"kernel": {**NODE.expected["kernel"], "build_id": "00ff"}}
    result = found(NODE.changed(commands={"ask build_id /sys/kernel/notes": said}, expected=wanted))["kernel.level"]
    assert result.answer is Answer.UNKNOWN
    assert "Permission denied" in result.looked.reason
