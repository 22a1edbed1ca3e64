# SPDX-License-Identifier: GPL-2.0-or-later
"""What libvirt keeps of a domain is looked for in its words and in its files; a refusal must say why."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestFail

from provider.hvqual.expect import Expect
from provider.hvqual.operations import autostart, definition
from provider.hvqual.record import Record

NAME = "hvq-1"


class World:
    """A libvirtd with one domain, or none, whose answers can be made to differ from its files."""

    def __init__(self, tmp_path):
        self.record, self.uri, self.timeout = Record(tmp_path), "test:///", 5.0
        self.truth, self.domain, self.said = self, None, ""
        self.processes, self.asked_for_process = [], []

    def lookup(self, name):
        return self.domain if self.domain and self.domain.name == name else None

    def text(self, _name, *, inactive):
        return "<domain/>" if inactive else ""

    def no_process(self, guest):
        self.asked_for_process.append(guest.name)
        assert not self.processes, guest.name

    def act(self, *_args):
        return 0.0

    answer = Expect.answer


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A node without domains, its files below tmp_path."""
    for name, module, folder in (
        ("CONFIG", definition, "qemu"),
        ("MANAGED", definition, "save"),
        ("SNAPSHOTS", definition, "snapshot"),
        ("CONFIG", autostart, "qemu"),
    ):
        (tmp_path / folder / "autostart").mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(module, name, tmp_path / folder)
    return World(tmp_path)


@pytest.fixture
def guest():
    return SimpleNamespace(name=NAME)


def domain(*, persistent=True, flagged=False):
    return SimpleNamespace(name=NAME, isPersistent=lambda: persistent, autostart=lambda: flagged)


@pytest.mark.parametrize(
    "left", [f"qemu/{NAME}.xml", f"qemu/autostart/{NAME}.xml", f"save/{NAME}.save", f"snapshot/{NAME}/x"]
)
def test_each_file_that_is_left_is_a_leftover(world, guest, tmp_path, left):
    definition.gone(guest, world)
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).touch()
    with pytest.raises(TestFail, match="should be gone; libvirt does not know it, and these are left"):
        definition.gone(guest, world)


def test_an_empty_folder_of_snapshots_is_nothing(world, guest, tmp_path):
    (tmp_path / "snapshot" / NAME).mkdir()
    definition.gone(guest, world)
    assert world.record.problems == []
    assert world.asked_for_process == [NAME], "that no process is left is asked after the files"


def test_a_dangling_link_is_left_too(world, guest, tmp_path):
    (tmp_path / "qemu" / "autostart" / f"{NAME}.xml").symlink_to("/nowhere")
    with pytest.raises(TestFail, match="autostart"):
        definition.gone(guest, world)


def test_a_domain_that_is_still_known_is_not_gone(world, guest):
    world.domain = domain()
    with pytest.raises(TestFail, match="libvirt knows it"):
        definition.gone(guest, world)


@pytest.mark.parametrize("is_so", [True, False])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("file", [True, False])
def test_libvirt_and_its_file_must_both_say_so(world, guest, tmp_path, is_so, known, file):
    world.domain = domain(persistent=known)
    if file:
        (tmp_path / "qemu" / f"{NAME}.xml").touch()
    if known == file == is_so:
        definition.persistent(guest, world, is_so=is_so)
        return
    with pytest.raises(TestFail, match="should be"):
        definition.persistent(guest, world, is_so=is_so)


def virsh(status, said, interrupted=False):
    def undefine(*_args, **_kwargs):
        return SimpleNamespace(exit_status=status, stderr_text=said, stdout_text="", interrupted=interrupted)

    return undefine


def test_a_refusal_says_why_and_is_one(world, guest):
    said = "error: Refusing to undefine while domain managed save image exists"
    definition.refused(guest, world, "managed save", virsh(1, said), NAME)
    with pytest.raises(TestFail, match="without saying why"):
        definition.refused(guest, world, "managed save", virsh(1, "error: no"), NAME)
    with pytest.raises(TestFail, match="reported success"):
        definition.refused(guest, world, "managed save", virsh(0, ""), NAME)
    assert [value for value, _ in world.record.samples["refusal_told"]] == [True, False]


def test_a_virsh_that_does_not_end_is_no_refusal(world, guest):
    said = "error: Refusing to undefine while domain managed save image exists"
    with pytest.raises(
        TestFail, match=r"'virsh undefine hvq-1' did not end in 5 s \(timeout\); .* said: error: Refusing"
    ):
        definition.refused(guest, world, "managed save", virsh(-15, said, "timeout"), NAME)
    assert "refusal_told" not in world.record.samples


def test_a_definition_that_changed_is_told_by_its_lines(world, guest):
    definition.same_definition(guest, world, "<domain/>")
    with pytest.raises(TestFail, match="<domain/> <other/>"):
        definition.same_definition(guest, world, "<other/>")
    assert [value for value, _ in world.record.samples["definition_kept"]] == [True, False]


@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("linked", [True, False])
def test_a_flag_is_libvirts_word_and_the_hosts_link(world, guest, tmp_path, flagged, linked):
    world.domain = domain(flagged=flagged)
    (tmp_path / "qemu" / f"{NAME}.xml").touch()
    if linked:
        (tmp_path / "qemu" / "autostart" / f"{NAME}.xml").symlink_to(tmp_path / "qemu" / f"{NAME}.xml")
    for operation, on in ((autostart.flagged, True), (autostart.unflagged, False)):
        if flagged == linked == on:
            operation(guest, world)
            continue
        with pytest.raises(TestFail, match="be flagged for the start of the host"):
            operation(guest, world)


def test_a_link_that_leads_elsewhere_is_no_flag(world, guest, tmp_path):
    world.domain = domain(flagged=True)
    (tmp_path / "qemu" / "autostart" / f"{NAME}.xml").symlink_to("/etc/passwd")
    with pytest.raises(TestFail, match="leads /etc/passwd"):
        autostart.flagged(guest, world)
