# SPDX-License-Identifier: GPL-2.0-or-later
"""Two nodes that are alike, and one that differs in one place: the place is named, and nothing else."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.preparation.checks import host_identity
from avocado_hvqual.preparation.likeness import fields, gather, held, profile
from avocado_hvqual.preparation.likeness.compare import compare
from avocado_hvqual.preparation.likeness.fields import Rule
from avocado_hvqual.preparation.model import Answer, Ran
from tests.preparation.likeness.existing import CPU, HERE, NODE, THERE, V, asked

DIFFERENCES = {
    "kernel of another release": ("kernel.release", "6.1.0-18-amd64"),
    "kernel of another build": ("kernel.build", "#1 SMP Debian 6.1.112-1"),
    "kernel argument missing": ("kernel.cmdline", ("quiet",)),
    "older firmware": ("firmware.bios_version", "2.9"),
    "older microcode": ("cpu.microcode", "0xd000390"),
    "CPU of another stepping": ("cpu.stepping", "5"),
    "CPU flag missing": ("cpu.flags", ("vmx",)),
    "fewer CPUs": ("cpu.count", 1),
    "mitigation off": ("cpu.mitigation.meltdown", "Vulnerable"),
    "less memory": ("memory.kib", 64 << 20),
    "other NUMA nodes": ("numa.nodes", 1),
    "other CPUs of a NUMA node": ("numa.node0.cpus", "0-1"),
    "fewer huge pages": ("hugepages.2048kB", 512),
    "other THP": ("thp.enabled", "never"),
    "other sysctl": ("sysctl.vm.swappiness", "10"),
    "card of another driver": ("nic.eno1.driver", "e1000e"),
    "slower card": ("nic.eno1.speed", 1000),
    "other MTU": ("nic.eno1.mtu", "1500"),
    "no nesting": ("kvm.kvm_intel.nested", "N"),
    "older QEMU": ("qemu.version", "7.2.1"),
    "QEMU of another build": ("qemu.sha256 of /usr/bin/qemu-system-x86_64", "00"),
    "machine type missing": ("qemu.machine_types", ("q35",)),
    "migration feature missing": ("libvirt.migration_features", ()),
    "older libvirt": ("libvirt.daemon", "8.0.0"),
    "pool elsewhere": ("pool.images", "dir at /srv/images"),
    "smaller pool": ("pool.images.capacity_mib", 1024),
    "network of another kind": ("network.default", "route on virbr0"),
    "duplicate machine-id": ("host.machine_id", THERE.facts["host.machine_id"]),
    "duplicate name": ("host.name", THERE.facts["host.name"]),
    "duplicate UUID": ("libvirt.host_uuid", THERE.facts["libvirt.host_uuid"]),
    "duplicate MAC address": ("nic.eno1.mac", THERE.facts["nic.eno1.mac"]),
    "a fact that nobody has thought of": ("quantum.bits", 3),
}


def changed(node, **facts):
    return dataclasses.replace(node, facts={**node.facts, **facts})


def test_nodes_that_are_alike_differ_in_nothing():
    found = compare(HERE, THERE)
    assert (found.differences, found.unseen) == ((), ())
    assert found.held == len(set(HERE.facts) | set(THERE.facts)) > 70


@pytest.mark.parametrize("seed", DIFFERENCES)
def test_a_difference_is_named_and_nothing_else(seed):
    name, value = DIFFERENCES[seed]
    found = compare(changed(HERE, **{name: value}), THERE)
    assert [it.name for it in found.undeclared] == [name]
    assert found.undeclared[0].why
    declared = compare(changed(HERE, **{name: value}), THERE, [name])
    assert (declared.undeclared, [it.name for it in declared.differences]) == ((), [name])


def test_a_pool_with_a_blank_in_its_name_is_one_pool_and_one_that_is_silent_is_told():
    xml = "<pool type='dir'><capacity unit='bytes'>1073741824</capacity><target><path>/srv</path></target></pool>"
    said = {
        f"{V} pool-list --all --name": Ran(0, " my images\nsilent\n\n"),
        f"{V} pool-dumpxml 'my images'": Ran(0, xml),
    }
    said[f"{V} pool-dumpxml silent"] = Ran(1, "")
    found = gather.profile(NODE.changed({}, said), "new-1", 1000)
    told = {name: value for name, value in found.facts.items() if name.startswith("pool")}
    assert told == {"pool.my images": "dir at /srv", "pool.my images.capacity_mib": 1024}
    assert found.unseen["pool.silent"] == "virsh pool-dumpxml does not answer"


def test_what_one_node_lacks_is_a_difference_and_what_it_has_more_of_is_none():
    for name in ("nic.eno1.driver", "pool.images", "hugepages.2048kB", "network.default"):
        less = {key: value for key, value in HERE.facts.items() if key != name}
        assert [it.name for it in compare(dataclasses.replace(HERE, facts=less), THERE).undeclared] == [name]
    more = changed(HERE, **{"memory.kib": 512 << 20, "hugepages.2048kB": 4096, "nic.eno1.speed": 100000})
    assert compare(more, THERE).undeclared == ()
    # What the firmware keeps changes a little from boot to boot.
    assert compare(changed(HERE, **{"memory.kib": HERE.facts["memory.kib"] - 100}), THERE).undeclared == ()


def test_lists_tell_what_the_other_lacks():
    (found,) = compare(changed(HERE, **{"cpu.flags": (*HERE.facts["cpu.flags"], "amx")}), THERE).differences
    assert (found.here, found.there) == ("has also amx", "has nothing more")


@pytest.mark.parametrize("blind", ["cpu", "nic", "libvirt", "kernel.release"])
def test_what_was_not_seen_is_unknown_and_never_alike(blind):
    facts = {key: value for key, value in HERE.facts.items() if key.split(".")[0] != blind and key != blind}
    found = compare(dataclasses.replace(HERE, facts=facts, unseen={blind: "no permission"}), THERE)
    assert found.differences == ()
    assert found.unseen
    assert all("no permission" in sentence for sentence in found.unseen)


def test_nothing_in_common_is_no_likeness():
    empty = dataclasses.replace(HERE, facts={}, unseen={name.split(".")[0]: "gone" for name in THERE.facts})
    assert "no fact in common" in " ".join(compare(empty, THERE).unseen)


@given(st.sampled_from(sorted(HERE.facts)), st.one_of(st.text(min_size=1), st.integers(min_value=0)))
def test_no_change_of_any_fact_goes_unseen(name, value):
    """Whatever a fact becomes: either its row lets it differ, or it is at least as much, or it is named."""
    rule = fields.of(name).rule
    found = compare(changed(HERE, **{name: value}), THERE)
    assert {it.name for it in found.undeclared} <= {name}
    if rule is Rule.EQUAL and value != THERE.facts[name]:
        assert [it.name for it in found.undeclared] == [name]


def test_each_fact_that_is_gathered_has_a_row():
    assert [name for name in HERE.facts if fields.of(name) is None] == []
    assert all(field.why for field in fields.FIELDS)
    used = {fields.of(name) for name in HERE.facts}
    assert [field.names for field in fields.FIELDS if field not in used] == []


def test_a_profile_survives_its_file(tmp_path):
    path = tmp_path / "node.json"
    path.write_text(HERE.text())
    assert profile.load(path) == HERE


@pytest.mark.parametrize(
    "broken", [{"format": 2}, {"facts": {}}, {"more": 1}, {"facts": {"a.b": 1.5}}, {"unseen": {"a": ""}}]
)
def test_a_file_that_is_no_profile_is_told_by_line(tmp_path, broken):
    path = tmp_path / "node.json"
    path.write_text(json.dumps({**json.loads(HERE.text()), **broken}))
    with pytest.raises(DefinitionError, match=r"node\.json:1: "):
        profile.load(path)


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ({"compare": "identical", "why": "", "baseline": "Icelake"}, []),
        ({"compare": "incompatible", "why": "pku", "baseline": "Icelake"}, ["cpu of old-1 at new-1"]),
        ({"compare": "identical", "why": "", "baseline": ""}, ["cpu baseline at new-1"]),
        ({"compare": "error -1", "why": "", "baseline": "Icelake"}, ["cpu of old-1 at new-1"]),
    ],
)
def test_what_libvirt_says_of_the_cpus_counts(answer, named):
    (found,) = held.against(asked(answer), HERE, [THERE])
    assert [it.name for it in found.comparison.undeclared] == named
    assert found.cpus["kind"] == "kvm"


def test_features_that_the_other_lacks_are_named_where_nobody_there_can_be_asked():
    more = dataclasses.replace(
        HERE, cpus={"kvm": CPU.replace("</cpu>", "<feature policy='require' name='amx'/></cpu>")}
    )
    node = asked({"compare": "superset", "why": "", "baseline": "Icelake"}, more.cpus["kvm"])
    (found,) = held.against(node, more, [THERE])
    (one,) = found.comparison.undeclared
    assert (one.name, one.here) == ("cpu of new-1 at old-1", "has also require amx")


def test_cpus_that_cannot_be_compared_are_unknown():
    for node, here in (
        (asked({"error": "no libvirt"}), HERE),
        (NODE, dataclasses.replace(HERE, cpus={})),
    ):
        (found,) = held.against(node, here, [THERE])
        assert found.comparison.undeclared == ()
        assert found.comparison.unseen


def identity(**keys):
    return {"identity": {"profiles": [], "peer": "", "may_differ": [], **keys}}


def test_a_node_that_is_held_against_nobody_is_unknown():
    looked = host_identity.look(NODE)
    assert looked.answer is Answer.UNKNOWN
    assert "held against nobody" in looked.reason
    first = NODE.changed(expected={"not_required": ["existing_nodes"]})
    assert host_identity.look(first).answer is Answer.NOT_APPLICABLE


def test_a_node_like_the_existing_one_is_met_and_another_is_not(tmp_path):
    path = tmp_path / "old-1.json"
    path.write_text(THERE.text())
    node = asked({"compare": "identical", "why": "", "baseline": "Icelake"})
    assert host_identity.look(node.changed(expected=identity(profiles=[str(path)]))).answer is Answer.MET
    path.write_text(changed(THERE, **{"cpu.microcode": "0x1"}).text())
    looked = host_identity.look(node.changed(expected=identity(profiles=[str(path)])))
    assert [defect.subject for defect in looked.defects] == ["cpu.microcode against old-1"]
    declared = identity(profiles=[str(path)], may_differ=["cpu.microcode"])
    assert host_identity.look(node.changed(expected=declared)).answer is Answer.MET
    path.write_text("{}")
    assert host_identity.look(node.changed(expected=identity(profiles=[str(path)]))).answer is Answer.UNKNOWN


@pytest.mark.parametrize("text", ["", "uninitialized\n", "0" * 32, "3D1219C7C4C5404AAA1F6D2A48ADFDA4"])
def test_a_machine_id_that_is_none_is_a_defect_with_a_remedy(text):
    node = NODE.changed({"/etc/machine-id": text}, expected={"not_required": ["existing_nodes"]})
    (defect,) = host_identity.look(node).defects
    assert defect.subject == "machine-id"
    assert len(defect.remedy.files[0].text.strip()) == 32


def test_a_libvirt_that_is_silent_makes_the_profile_say_so():
    silent = {words: Ran(1, "", "no connection") for words in NODE.commands if words.startswith("virsh")}
    looked = host_identity.look(NODE.changed(commands=silent, expected={"not_required": ["existing_nodes"]}))
    assert looked.answer is Answer.UNKNOWN
    assert "libvirt does not answer" in looked.reason
