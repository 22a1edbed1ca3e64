# SPDX-License-Identifier: GPL-2.0-or-later
"""A pool that tools find over the disks' folder: the node's own is used and left, ours goes with the block and with the undo log."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from provider.hvqual import marks, pools, undo_actions, undo_libvirt, undo_pool
from provider.hvqual.undo import UndoLog


class Pool:
    """A storage pool of the fake libvirt."""

    def __init__(self, libvirt, name, uuid, path, *, active=True):
        self.libvirt, self._name, self.uuid, self.path, self.active = libvirt, name, uuid, path, active

    def name(self):
        """Its name."""
        return self._name

    def UUIDString(self):  # noqa: N802 - libvirt-python's name
        """Its uuid."""
        return self.uuid

    def isActive(self):  # noqa: N802 - libvirt-python's name
        """Whether it is active."""
        return self.active

    def XMLDesc(self):  # noqa: N802 - libvirt-python's name
        """Its XML."""
        return f"<pool><target><path>{self.path}</path></target></pool>"

    def destroy(self):
        """Forget it, unless this libvirt lies."""
        if not self.libvirt.lies:
            self.libvirt.pools.remove(self)


class Libvirt:
    """A libvirt with pools."""

    lies = False

    def __init__(self):
        self.pools = []

    def listAllStoragePools(self):  # noqa: N802 - libvirt-python's name
        """All of them."""
        return list(self.pools)

    def storagePoolCreateXML(self, xml, _flags):  # noqa: N802 - libvirt-python's name
        """Make a transient one."""
        from xml.etree import ElementTree as ET

        told = ET.fromstring(xml)
        self.pools.append(Pool(self, told.findtext("name"), told.findtext("uuid"), told.findtext("target/path")))


@pytest.fixture
def libvirt(monkeypatch, tmp_path):
    """The fake, found by the undo log's actions too."""
    it = Libvirt()

    @contextmanager
    def connected(_uri):
        yield it

    monkeypatch.setattr(undo_pool, "connection", connected)
    monkeypatch.setattr(undo_libvirt, "connection", connected)
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path))
    return it


def test_ours_is_there_for_the_block_only(libvirt):
    """A transient pool with our prefix covers the folder, and is gone afterwards."""
    with pools.covering(libvirt, "uri", "/d/images", "abc") as name:
        assert [(pool.name(), pool.path) for pool in libvirt.pools] == [(name, "/d/images")]
        assert name.startswith(marks.PREFIX)
    assert libvirt.pools == []


def test_the_nodes_own_is_used_and_left(libvirt):
    """Where an active pool covers the folder nothing is made; an inactive one covers nothing."""
    libvirt.pools = [Pool(libvirt, "default", "u1", "/d/images"), Pool(libvirt, "old", "u2", "/e", active=False)]
    with pools.covering(libvirt, "uri", "/d/images", "abc") as name:
        assert name == "default"
    with pools.covering(libvirt, "uri", "/e", "abc") as name:
        assert name == "hvq-abc"
    assert [pool.name() for pool in libvirt.pools] == ["default", "old"]


def test_a_killed_test_leaves_it_to_the_undo_log(libvirt, tmp_path):
    """What the log says before the pool is made is enough to take it away; a pool that is not ours stays."""
    UndoLog(tmp_path, "local").record("destroy_pool", name="hvq-abc", uuid="u9", uri="uri")
    libvirt.pools = [Pool(libvirt, "hvq-abc", "u9", "/d"), Pool(libvirt, "default", "u1", "/e")]
    assert [outcome.status for outcome in UndoLog(tmp_path, "local").replay(force=True)] == ["restored"]
    assert [pool.name() for pool in libvirt.pools] == ["default"]


def test_another_pool_under_the_uuid_is_left_alone(libvirt):
    """By uuid and by name, or not at all."""
    libvirt.pools = [Pool(libvirt, "default", "u9", "/d")]
    details = {"name": "hvq-abc", "uuid": "u9"}
    assert undo_actions.run("destroy_pool", details, Path("/"), same_boot=True)[0] == "gone"
    assert len(libvirt.pools) == 1


def test_a_libvirt_that_lies_is_a_failed_restore(libvirt):
    """A pool that is still there after it was destroyed taints the node."""
    libvirt.lies = True
    libvirt.pools = [Pool(libvirt, "hvq-abc", "u9", "/d")]
    details = {"name": "hvq-abc", "uuid": "u9"}
    assert undo_actions.run("destroy_pool", details, Path("/"), same_boot=True)[0] == "failed"


class Busy(Pool):
    """A pool in which libvirtd writes until it was asked so often."""

    refusals = 2

    def destroy(self):
        """Refuse, as libvirt 9.0 does."""
        if self.refusals:
            self.refusals -= 1
            message = f"internal error: pool '{self.name()}' has asynchronous jobs running."
            raise RefusedError(message)
        super().destroy()


class RefusedError(Exception):
    """libvirt's error."""


@pytest.mark.parametrize(("refusals", "told"), [(2, "restored"), (10**9, "failed")])
def test_a_pool_that_is_written_in_is_waited_for(libvirt, monkeypatch, refusals, told):
    """Whoever asked for a volume may have died; libvirtd writes on, and the pool goes when it is done, or the node is tainted."""
    monkeypatch.setattr(marks, "libvirt_module", lambda: type("Module", (), {"libvirtError": RefusedError}))
    monkeypatch.setattr(undo_pool, "JOBS_S", 1.0)
    libvirt.pools = [Busy(libvirt, "hvq-abc", "u9", "/d")]
    libvirt.pools[0].refusals = refusals
    details = {"name": "hvq-abc", "uuid": "u9"}
    assert undo_actions.run("destroy_pool", details, Path("/"), same_boot=True)[0] == told
    assert bool(libvirt.pools) is (told == "failed")
