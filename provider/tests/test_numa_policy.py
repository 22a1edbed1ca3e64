# SPDX-License-Identifier: GPL-2.0-or-later
"""Where memory lies: what the kernel's words mean, and that a guest somewhere else is noticed."""

import contextlib
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual import cpu_use, numa_policy, smaps
from provider.hvqual.numa_policy import Placed
from provider.hvqual.operations import numa_tuning

MAPS = """\
7fa157e00000 bind:0 anon=100 dirty=100 N0=100 kernelpagesize_kB=4
7fa160000000 prefer (many):0-1 anon=3 N0=1 N1=2 kernelpagesize_kB=2048
7fa170000000 default
7fa180000000 interleave=static:0,2 file=/x N2=5
not a line
"""


def test_the_kernels_words():
    """Policies with their nodes, and pages counted by their size."""
    found = numa_policy.parse(MAPS.splitlines())
    assert [(one.policy, sorted(one.nodes), one.on_nodes) for one in found.values()] == [
        ("bind", [0], {0: 400}),
        ("prefer", [0, 1], {0: 2048, 1: 4096}),
        ("default", [], {}),
        ("interleave", [0, 2], {2: 20}),
    ]
    assert numa_policy.elsewhere(found.values(), [0]) == 4096 + 20
    assert numa_policy.elsewhere(found.values(), [0, 1, 2]) == 0


def test_the_pieces_of_a_guest(monkeypatch, tmp_path):
    """Each piece by a mapping of exactly its size, the most used first; a piece without one is no measurement."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7/numa_maps").write_text(MAPS)
    monkeypatch.setattr(numa_policy, "PROC", tmp_path)
    there = [
        smaps.Mapping(0x7FA157E00000, size=1024, resident=400),
        smaps.Mapping(0x7FA160000000, size=4096, resident=1),
        smaps.Mapping(0x7FA170000000, size=1024, resident=0),
    ]
    monkeypatch.setattr(smaps, "mappings", lambda pid: there)
    assert [one.policy for one in numa_policy.of_ram(7, (1024, 4096))] == ["bind", "prefer"]
    with pytest.raises(TestError, match="1 mappings of 4096 KiB for 2 pieces"):
        numa_policy.of_ram(7, (4096, 4096))


@pytest.mark.parametrize(
    ("files", "cgroups", "mems"),
    [
        ({"cpuset/a/b/cpuset.mems": "1", "cpuset/cpuset.mems": "0-1"}, "3:cpuset:/a/b\n0::/", {1}),
        ({"cpuset/cpuset.mems": "0-1"}, "3:cpuset:/a/b", {0, 1}),
        ({"a/b/cpuset.mems": "", "a/cpuset.mems": "0"}, "0::/a/b", {0}),
        ({"a/b/x": ""}, "0::/a/b", None),
        ({"x": ""}, "4:cpu:/a", None),
    ],
)
def test_what_the_cgroups_allow(tmp_path, files, cgroups, mems):
    """The nearest group that says something, of either version; silence is not everything."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert numa_policy.allowed(cgroups, tmp_path) == mems


def test_nodes_with_memory(tmp_path):
    assert numa_policy.online(tmp_path) == [0]
    (tmp_path / "has_memory").write_text("0,2-3\n")
    assert numa_policy.online(tmp_path) == [0, 2, 3]


class Expect:
    """As much of an Expect as a comparison needs."""

    uri = "u"

    def __init__(self):
        self.seen, self.told = {}, []
        self.record = self

    def step(self, *_):
        return contextlib.nullcontext()

    def observe(self, name, value, *_):
        self.seen[name] = value

    def problem(self, _kind, message, *_):
        self.told.append(message)


@pytest.fixture
def world(monkeypatch):
    """A guest strictly on node 0, by everybody's word; a test changes one of them."""
    state = {
        "virsh": "numa_mode      : strict\nnuma_nodeset   : 0\n",
        "ram": [Placed(1, "bind", frozenset({0}), {0: 4})],
        "mems": {0},
    }
    monkeypatch.setattr(cpu_use, "pid_of", lambda _: 1)
    monkeypatch.setattr(numa_policy, "of_ram", lambda *_: state["ram"])
    monkeypatch.setattr(numa_policy, "allowed", lambda _: state["mems"])
    monkeypatch.setattr(numa_policy, "online", lambda: [0, 1])
    monkeypatch.setattr(numa_tuning.virsh, "numatune", lambda *_, **__: SimpleNamespace(stdout_text=state["virsh"]))
    return state


GUEST = SimpleNamespace(name="hvq-1", spec=SimpleNamespace(pieces_kib=(4,)))


def test_a_guest_in_its_place(world):
    expect = Expect()
    numa_tuning.placed(GUEST, expect, "strict", [0])
    assert expect.seen == {"policy_as_asked": True, "pages_elsewhere": 0}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"virsh": "numa_mode      : preferred\nnuma_nodeset   : 0\n"}, "virsh numatune says"),
        ({"virsh": "numa_mode      : strict\nnuma_nodeset   : 0-1\n"}, "virsh numatune says"),
        ({"virsh": ""}, "virsh numatune says nothing"),
        ({"ram": [Placed(1, "default", frozenset(), {0: 4})]}, "policy default on"),
        ({"ram": [Placed(1, "bind", frozenset({0, 1}), {0: 4})]}, r"policy bind on \[0, 1\]"),
        ({"ram": [Placed(1, "bind", frozenset({0}), {}, held_kib=4)]}, "4 KiB of 4 KiB on no node"),
        ({"ram": [Placed(1, "bind", frozenset({0}), {0: 80}, held_kib=100)]}, "20 KiB of 100 KiB on no node"),
        ({"mems": {0, 1}}, "the cgroup lets it be on"),
        ({"mems": None}, "the cgroup lets it be on None"),
    ],
)
def test_a_guest_that_may_be_elsewhere_is_noticed(world, change, told):
    world.update(change)
    expect = Expect()
    with pytest.raises(TestFail, match=told):
        numa_tuning.placed(GUEST, expect, "strict", [0])
    assert expect.seen == {"policy_as_asked": False}


def test_pages_that_are_elsewhere_are_counted(world):
    world["ram"] = [Placed(1, "bind", frozenset({0}), {0: 4, 1: 8})]
    expect = Expect()
    numa_tuning.placed(GUEST, expect, "strict", [0])
    assert expect.seen["pages_elsewhere"] == 8


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("error: unsupported configuration: NUMA node 2 is unavailable", True),
        ("error: Failed to start domain 'hvq-2': Cannot allocate memory", False),
        ("error: NUMA node 21 is unavailable", False),
        ("", False),
    ],
)
def test_a_start_that_fails_for_something_else_is_no_refusal_of_the_node(world, monkeypatch, said, told):
    """The name of a guest may hold the node's number, and a host may have no memory."""
    done = {"numatune": SimpleNamespace(exit_status=0, stderr_text="")}
    done["start"] = SimpleNamespace(exit_status=1, stderr_text=said)
    monkeypatch.setattr(
        numa_tuning, "virsh", SimpleNamespace(**{name: lambda *_, it=it, **__: it for name, it in done.items()})
    )
    monkeypatch.setattr(numa_tuning, "tune", lambda *_: None)
    expect = Expect()
    expect.no_process = lambda _: None
    numa_tuning.absent_is_refused(GUEST, expect, "strict", [0])
    assert expect.seen == {"refusal_told": told}


def test_modes_are_libvirts():
    assert numa_tuning.known(["strict", "preferred"]) == ("strict", "preferred")
    for wrong in ([], ["bind"]):
        with pytest.raises(TestError, match="hv_numa_modes"):
            numa_tuning.known(wrong)
