# SPDX-License-Identifier: GPL-2.0-or-later
"""What an edit makes of the XML and of the model; a virsh that lies about it, or that asks for an answer, is found out."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual.domain_xml import Disk, Place, Spec, domain_xml
from provider.hvqual.guests import Guest
from provider.hvqual.operations import editing
from provider.hvqual.record import Record

SPEC = Spec(
    "hvq-1",
    "9c1f7a64-0000-4000-8000-000000000001",
    2,
    256 * 1024,
    ("52:54:00:00:00:f1",),
    (Disk("/i/hvq-1.raw", 32),),
    pins=(0, 1),
)
IMAGE = SimpleNamespace(kernel="/k", initrd="/i", cmdline="console=ttyS0")


@pytest.fixture
def guest(tmp_path):
    """A guest that is off."""
    place = Place("tcg", "/usr/bin/qemu", "default", str(tmp_path / "console.log"), "/run/hvq.sock", 5610, "token")
    return Guest(SPEC, IMAGE, place, wanted=None)


class World:
    """A libvirtd that has one definition, and a virsh that puts there what its editor writes (or not)."""

    def __init__(self, tmp_path, text, *, honest=True, status=0):
        self.text_, self.honest, self.status = text, honest, status
        self.record, self.uri, self.timeout = Record(tmp_path), "test:///", 5.0
        self.truth = self

    def text(self, _name, *, inactive=False):
        return self.text_ if inactive else "<live/>"

    def xml(self, _name, *, inactive=False):
        return ET.fromstring(self.text(_name, inactive=inactive))

    def defined_as(self, guest):
        found = self.xml(guest.name, inactive=True)
        wanted = (str(guest.spec.vcpus), str(guest.spec.memory_kib), len(guest.spec.macs))
        assert (found.findtext("vcpu"), found.findtext("memory"), len(found.findall("devices/interface"))) == wanted

    def run(self, _command, *, env, stdin, **_):
        assert stdin == subprocess.DEVNULL
        file = env["HV_GIVEN"] + ".given"
        Path(file).write_text(self.text_)
        real_run([env["EDITOR"], file], env=env, check=True)
        if self.honest:
            self.text_ = Path(file).read_text()
        return SimpleNamespace(returncode=self.status, stderr="error: no such thing")


real_run = subprocess.run


@pytest.fixture
def world(tmp_path, guest, monkeypatch):
    """Libvirt with the guest defined."""
    it = World(tmp_path, domain_xml(SPEC, IMAGE, guest.place))
    monkeypatch.setattr(editing.subprocess, "run", it.run)
    return it


def test_every_field_changes_xml_and_model(guest, world):
    editing.edited(guest, world, editing.known(list(editing.CHANGES)))
    found = world.xml(guest.name, inactive=True)
    assert guest.spec == replace(
        SPEC, vcpus=1, pins=(0,), memory_kib=224 * 1024, macs=(SPEC.macs[0], "52:54:00:00:00:71")
    )
    assert found.find("cpu/topology").get("cores") == "1"
    assert [pin.get("vcpu") for pin in found.findall("cputune/vcpupin")] == ["0"]
    assert found.findtext("title") == editing.WORDS
    assert found.findtext("os/cmdline").endswith("hv.edited=yes")


@pytest.mark.parametrize("field", ["vcpu", "memory", "boot", "desc", "metadata"])
def test_an_edit_that_changes_nothing_is_found_out(guest, world, field):
    world.honest = False
    with pytest.raises(TestFail, match="after virsh reported success"):
        editing.edited(guest, world, [field])


def test_a_refused_edit_fails(guest, world):
    world.status = 1
    with pytest.raises(TestFail, match=r"was refused .*no such thing"):
        editing.edited(guest, world, ["vcpu"])


# A virsh at whose terminal a definition that is not well-formed is asked about.
VIRSH = """#!/bin/sh
file=$(mktemp {folder}/given-XXXXXX)
cp {folder}/definition "$file"
"$EDITOR" "$file"
case "{mode}" in
honest)
    echo "error: Premature end of data" >&2
    [ -t 0 ] || exit 0
    printf 'Failed. Try again? [y,n,i,f,?]: '
    answer=$(stty -icanon; dd bs=1 count=1 2>/dev/null)
    [ "$answer" = n ] && exit 1 ;;
takes) cp "$file" {folder}/definition ;;
silent) exit 1 ;;
loops) while :; do printf 'Failed. Try again? [y,n,i,f,?]: '; sleep 0.1; done ;;
esac
"""


@pytest.fixture
def at_terminal(tmp_path, guest, monkeypatch):
    """Return a way to have a virsh of some kind, and libvirt with what it defines."""
    path = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")

    def make(mode):
        script = tmp_path / "virsh"
        script.write_text(VIRSH.format(folder=tmp_path, mode=mode))
        script.chmod(0o755)
        monkeypatch.setattr(editing.shutil, "which", lambda _name: str(script))
        (tmp_path / "definition").write_text(domain_xml(SPEC, IMAGE, guest.place))
        it = World(tmp_path, "")
        it.timeout = 2.0
        it.text = lambda _name, *, inactive=False: (tmp_path / "definition").read_text() if inactive else "<live/>"
        return it

    return make


def test_a_rejected_edit_is_thrown_away_and_told(guest, at_terminal):
    world = at_terminal("honest")
    editing.broken_edits(guest, world)
    assert len(world.record.samples["rejection_time"]) == len(editing.BROKEN)
    # As libvirt 9.0: without a terminal the exit status does not say it.
    assert world.record.samples["rejection_told"] == [(False, "bool")]


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("takes", "took a definition with an error"),
        ("silent", "took a definition with an error"),
        ("loops", "waits for an answer"),
    ],
)
def test_a_virsh_that_takes_it_or_says_nothing_or_asks_for_ever_fails(guest, at_terminal, mode, says):
    with pytest.raises(TestFail, match=says):
        editing.broken_edits(guest, at_terminal(mode))


def test_a_virsh_that_waits_for_an_answer_fails(guest, world, monkeypatch):
    def hang(command, **__):
        raise subprocess.TimeoutExpired(command, 5)

    monkeypatch.setattr(editing.subprocess, "run", hang)
    with pytest.raises(TestFail, match="waits for an answer"):
        editing.edited(guest, world, ["vcpu"])


def test_an_unknown_field_is_told():
    with pytest.raises(TestError, match="'colour' cannot be edited"):
        editing.known(["vcpu", "colour"])
    with pytest.raises(TestError, match="'nothing'"):
        editing.known([])


def test_each_broken_edit_differs_from_the_definition(guest):
    text = domain_xml(SPEC, IMAGE, guest.place)
    assert all(spoil(text) != text for spoil in editing.BROKEN.values())


def test_a_small_guest_grows_and_a_big_one_shrinks():
    assert editing.CHANGES["memory"].spec(replace(SPEC, memory_kib=128 * 1024)).memory_kib == 160 * 1024
    assert editing.CHANGES["memory"].spec(replace(SPEC, memory_kib=4 << 20, hugepage_kib=1 << 20)).memory_kib == 3 << 20
    assert editing.CHANGES["vcpu"].spec(replace(SPEC, vcpus=1)).vcpus == 2
