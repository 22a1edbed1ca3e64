# SPDX-License-Identifier: GPL-2.0-or-later
"""Which domains the undo log destroys: with our mark, or of a name and a uuid that it was told before they were made."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from provider.hvqual import marks, undo_actions, undo_libvirt

UUID = "11111111-2222-4333-8444-555555555555"


class Domain:
    """One running, persistent domain."""

    def __init__(self, *, name="hvq-1", uuid=UUID, marked=False):
        self.names, self.uuid, self.marked, self.active, self.done = name, uuid, marked, True, []

    def name(self):
        return self.names

    def UUIDString(self):  # noqa: N802 - libvirt's name
        return self.uuid

    def XMLDesc(self, _flags):  # noqa: N802
        mark = marks.owner_element("c", 1) if self.marked else ""
        return f"<domain><metadata>{mark}</metadata></domain>"

    def isActive(self):  # noqa: N802
        return self.active

    def isPersistent(self):  # noqa: N802
        return "undefine" not in self.done

    def destroy(self):
        self.active = False
        self.done.append("destroy")


class Ending(Domain):
    """One that libvirt refuses to destroy, with *code*; meanwhile it *ends* by itself, or does not."""

    def __init__(self, code, *, ends):
        super().__init__(marked=True)
        self.code, self.ends = code, ends

    def destroy(self):
        self.active = not self.ends
        error = marks.libvirt_module().libvirtError("Requested operation is not valid: domain is not running")
        error.err = (self.code, 10, str(error), 2, None, None, None, -1, -1)
        raise error


@pytest.fixture
def libvirt(monkeypatch):
    """A libvirt with the domains that the test puts there."""
    domains = []

    @contextmanager
    def connection(_uri):
        yield SimpleNamespace(listAllDomains=lambda: domains)

    monkeypatch.setattr(undo_libvirt, "connection", connection)
    return domains


@pytest.mark.parametrize(
    ("domain", "details", "destroyed"),
    [
        ({"marked": True}, {"name": "hvq-1"}, True),
        ({}, {"name": "hvq-1"}, False),
        ({}, {"name": "hvq-1", "uuid": UUID}, True),
        # Ours by uuid alone, or by name alone, is not ours.
        ({"name": "theirs"}, {"name": "hvq-1", "uuid": UUID}, False),
        ({"name": "theirs"}, {"name": "theirs", "uuid": UUID}, False),
        ({"uuid": "another"}, {"name": "hvq-1", "uuid": UUID}, False),
        ({"marked": True, "uuid": "another"}, {"name": "hvq-1", "uuid": UUID}, False),
    ],
)
def test_only_what_is_ours_is_destroyed(libvirt, tmp_path, domain, details, destroyed):
    libvirt.append(Domain(**domain))
    status, _ = undo_actions.run("destroy_domain", details, tmp_path, same_boot=True)
    assert (status, libvirt[0].done) == (("restored", ["destroy"]) if destroyed else ("gone", []))


@pytest.mark.parametrize(
    ("code", "ends", "status"),
    [("VIR_ERR_OPERATION_INVALID", True, "gone"), ("VIR_ERR_OPERATION_INVALID", False, "failed")],
)
def test_a_domain_that_ends_by_itself_meanwhile_is_gone_and_one_that_does_not_is_told(
    libvirt, tmp_path, code, ends, status
):
    libvirt.append(Ending(getattr(marks.libvirt_module(), code), ends=ends))
    found, told = undo_actions.run("destroy_domain", {"name": "hvq-1"}, tmp_path, same_boot=True)
    assert found == status, told


def test_another_refusal_is_no_end(libvirt, tmp_path):
    module = marks.libvirt_module()
    libvirt.append(Ending(module.VIR_ERR_INTERNAL_ERROR, ends=True))
    with pytest.raises(module.libvirtError):
        undo_actions.run("destroy_domain", {"name": "hvq-1"}, tmp_path, same_boot=True)
