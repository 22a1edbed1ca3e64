# SPDX-License-Identifier: GPL-2.0-or-later
"""What a node's state is, how differences are told, and the items that only a fake root can seed."""

from __future__ import annotations

import ast
import errno
import json
import os
import socket
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.hvqual import node_items, node_state
from provider.hvqual.node_items import netlink, network
from provider.hvqual.node_items.source import Source, UnreachableError
from provider.tests.fake_root import fake

ROOT = Path(__file__).resolve().parents[2]
LINES = st.lists(
    st.sampled_from(["a", "b", "a = 1", "a = 2", "b = 1", "c/d = 1", "c/e = 1", "c/f", "c/g", "x y = z"]), max_size=6
)
ITEMS = st.dictionaries(st.sampled_from(["links", "sysctl", "domains"]), LINES, max_size=3)


def state(**items):
    return node_state.NodeState({name: tuple(sorted(lines)) for name, lines in items.items()})


class TestDiff:
    @given(ITEMS, ITEMS)
    def test_is_empty_exactly_when_the_digests_are_equal(self, before, after):
        old, new = state(**before), state(**after)
        if {k: Counter(v) for k, v in before.items() if v} == {k: Counter(v) for k, v in after.items() if v}:
            assert node_state.diff(old, new) == []
        else:
            assert node_state.diff(old, new) != []
            assert old.digest != new.digest

    @given(ITEMS)
    def test_of_a_state_with_itself_is_empty(self, items):
        assert node_state.diff(state(**items), state(**items)) == []
        assert state(**items).digest == state(**items).digest

    @pytest.mark.parametrize(
        ("before", "after", "told"),
        [
            ({"links": []}, {"links": ["vnet3"]}, ["links: +vnet3"]),
            ({"hugepages": ["2048kB nr = 0"]}, {"hugepages": ["2048kB nr = 4"]}, ["hugepages: 2048kB nr 0 -> 4"]),
            ({"processes": ["qemu = x"]}, {"processes": ["qemu = x", "qemu = x"]}, ["processes: +qemu (x)"]),
            ({"links": ["a = up"]}, {"links": []}, ["links: -a (up)"]),
            (
                {"links": [], "sysctl": ["net/ipv4/conf/lo/x = 1"]},
                {"links": ["v0 = veth"], "sysctl": ["net/ipv4/conf/lo/x = 1", "net/ipv4/conf/v0/x = 1"]},
                ["links: +v0 (veth)"],
            ),
            ({"sysctl": []}, {"sysctl": [f"net/a/{n} = 1" for n in range(9)]}, ["sysctl: +net/a/* (9 entries)"]),
            ({"x": ["k = 1", "k = 2"]}, {"x": ["k = 1", "k = 3", "k = 2"]}, ["x: +k (3)"]),
        ],
    )
    def test_tells(self, before, after, told):
        assert node_state.diff(state(**before), state(**after)) == told

    def test_a_setting_of_a_link_that_was_there_is_told(self):
        """Only what a new or removed link brings is implied, not a change beside it."""
        before = state(links=["v0 = veth"], sysctl=["net/ipv4/conf/v0/x = 1"])
        after = state(links=["v0 = veth"], sysctl=["net/ipv4/conf/v0/x = 2"])
        assert node_state.diff(before, after) == ["sysctl: net/ipv4/conf/v0/x 1 -> 2"]


class TestJson:
    def test_round_trip(self):
        it = state(links=["a = b", "c"])
        assert node_state.NodeState.from_json(json.loads(json.dumps(it.as_json()))) == it

    @pytest.mark.parametrize("data", [None, [], {}, {"format": 2, "items": {}}, {"format": 1, "items": []}])
    def test_something_else_is_refused(self, data):
        with pytest.raises(ValueError, match="no node state"):
            node_state.NodeState.from_json(data)

    def test_a_changed_file_is_refused(self):
        data = state(links=["a"]).as_json()
        data["items"]["links"] = []
        with pytest.raises(ValueError, match="it was changed"):
            node_state.NodeState.from_json(data)

    def test_script(self, tmp_path):
        """The script needs no path, no folder and no libvirtd; its differences are JSON and its status tells them."""
        script = [sys.executable, str(ROOT / "provider/hvqual/node_state.py")]
        uri = "qemu+unix:///system?socket=/nonexistent"
        done = subprocess.run([*script, "capture", "--uri", uri], capture_output=True, text=True, check=True, cwd="/")
        data = json.loads(done.stdout)
        assert set(data["items"]) == set(node_items.READERS)
        (tmp_path / "a").write_text(done.stdout)
        (tmp_path / "b").write_text(json.dumps(state(**{**data["items"], "dm": ["left"]}).as_json()))

        def diff(*names):
            command = [*script, "diff", *(str(tmp_path / name) for name in names)]
            return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")

        assert (diff("a", "a").returncode, json.loads(diff("a", "a").stdout)) == (0, [])
        assert (diff("a", "b").returncode, json.loads(diff("a", "b").stdout)) == (1, ["dm: +left"])
        (tmp_path / "c").write_text("{}")
        refused = diff("a", "c")
        assert refused.returncode not in {0, 1}
        assert refused.stderr.startswith(f"{tmp_path / 'c'}:1: ")


class TestUnreachable:
    def test_is_a_line_never_an_empty_item(self, tmp_path):
        """What cannot be asked is told in the item and gathered for the caller."""

        def gone(uri, read_all):
            msg = f"no libvirtd answers at '{uri}'"
            raise UnreachableError(msg)

        source = fake(tmp_path)
        source.libvirt = gone
        found = node_state.capture(source=source)
        for item in ("domains", "snapshots", "nft", "iptables", "links"):
            assert len(found.items[item]) == 1
            assert found.items[item][0].startswith("unreachable = ")
        assert len(found.unreachable) == 13

    def test_no_item_of_a_bare_root_is_silent_about_what_it_lacks(self, tmp_path):
        """Nothing there and nothing known are told apart wherever a source may be missing."""
        items = node_state.capture(source=fake(tmp_path)).items
        for item in (
            "hugepages",
            "thp",
            "ksm",
            "cgroups",
            "users",
            "groups",
            "packages",
            "units",
            "etc_libvirt",
            "images",
        ):
            assert items[item], item


class TestNetlink:
    def test_an_interrupted_dump_is_asked_again_and_then_told(self, monkeypatch):
        """A dump that the kernel calls inconsistent is never taken for the state."""
        tries = []

        def dump(kind, body):
            tries.append(kind)
            raise netlink._InterruptedDumpError
            yield

        monkeypatch.setattr(netlink, "_dump", dump)
        with pytest.raises(UnreachableError, match="interrupted"):
            netlink.dump(netlink.GETLINK, b"")
        assert len(tries) == 5

    @pytest.mark.parametrize(("number", "told"), [(errno.EOPNOTSUPP, ["rules"]), (errno.EPERM, None)])
    def test_a_kernel_without_policy_rules_has_none_and_one_that_refuses_is_not_believed(
        self, monkeypatch, number, told
    ):
        """Seen with an own kernel 6.1: error 95 made the whole state of the node unknown."""

        def dump(_kind, _body):
            raise OSError(number, os.strerror(number))
            yield

        monkeypatch.setattr(netlink, "_dump", dump)
        if told is None:
            with pytest.raises(UnreachableError, match="Operation not permitted"):
                network._rules()
        else:
            assert [line.split(" = ")[0] for line in network._rules()] == told

    def test_attributes_with_padding_and_nonsense(self):
        data = struct.pack("=HH5s3x", 9, 3, b"eth0\0") + struct.pack("=HHI", 8, 4, 1500) + struct.pack("=HH", 0, 7)
        assert netlink.attributes(data) == {3: b"eth0\0", 4: struct.pack("=I", 1500)}

    def test_sees_what_this_machine_has(self):
        names = {line.split(" = ")[0] for line in network.links(Source())}
        assert names == {name for _, name in socket.if_nameindex()}


def test_needs_no_framework():
    """The script runs where avocado and avocado-vt are missing: standard library and our own modules alone."""
    allowed = set(sys.stdlib_module_names) | {"provider", "__future__"}
    for name in (
        "node_state",
        "undo",
        "undo_store",
        "undo_actions",
        "undo_links",
        "undo_owner",
        "undo_libvirt",
        "undo_limit",
        "undo_processes",
        "sweep",
        "marks",
        "processes",
    ):
        tree = ast.parse((ROOT / f"provider/hvqual/{name}.py").read_text())
        for part in ast.walk(tree):
            names = [alias.name for alias in part.names] if isinstance(part, ast.Import) else []
            names += [part.module] if isinstance(part, ast.ImportFrom) and part.module else []
            assert {found.split(".")[0] for found in names} <= allowed, (name, names)
