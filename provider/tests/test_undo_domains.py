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
