# SPDX-License-Identifier: GPL-2.0-or-later
"""On a node with a real libvirtd: what is ours is put back and removed, what is not is never touched."""

from __future__ import annotations

import os
import shutil

import pytest

from provider.tests import throwaway

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What happened on the throw-away node."""
    if os.geteuid() != 0 or not shutil.which("libvirtd"):
        pytest.skip("needs root and libvirtd")
    return throwaway.outside("sweeping.py", tmp_path_factory.mktemp("sweep"))


def items(changes):
    return {change.split(":")[0] for change in changes}


class TestGuards:
    def test_destroy_domain_and_undefine_domain_leave_the_node_as_it_was(self, found):
        assert found["guards"]["inside"] == ["hvq-foreign", "hvq-guarded", "production"]
        assert found["guards"]["after"] == []

    def test_a_name_that_is_taken_is_refused(self, found):
        assert "There is a domain 'hvq-foreign'" in found["guards"]["taken"]

    def test_a_domain_without_our_mark_is_left_alone_whatever_its_name(self, found):
        assert found["guards"]["unmarked"]

    def test_a_killed_test_is_undone_by_replay(self, found):
        assert {"domains", "processes"} <= items(found["guards"]["killed inside"])
        assert found["guards"]["replayed"] == ["restored", "restored"]
        assert found["guards"]["killed after"] == []


def test_destroy_network_and_undefine_network_go_by_uuid(found):
    assert {"networks", "links"} <= items(found["networks"]["during"])
    assert found["networks"]["outcomes"] == ["restored", "restored", "gone", "gone"]
    assert found["networks"]["after"] == []


class TestLinks:
    def test_link_up_brings_addresses_and_routes_back(self, found):
        """The block itself and the replay after a kill wait for an empty difference: they got it."""
        assert {"links", "addresses", "routes"} <= items(found["links"]["inside"])
        assert {"links", "addresses", "routes"} <= items(found["links"]["killed"])
        assert "link 'hvqv0' is up, 3 routes put back" in found["links"]["outcomes"]

    def test_the_default_route_is_never_cut(self, found):
        assert "carries the default route" in found["links"]["refused"][0]
        assert "There is no link 'nosuch'" in found["links"]["refused"][1]

    def test_link_del(self, found):
        assert found["links"]["deleted"] == ["restored"]


def test_umount_comes_before_remove_path(found):
    """A folder with something mounted in it is never removed: it may be somebody's disk."""
    assert found["mounts"]["refused"][0][0] == "failed"
    assert "is mounted there" in found["mounts"]["refused"][0][1]
    assert found["mounts"]["still"]
    assert found["mounts"]["outcomes"] == ["restored", "restored"]
    assert found["mounts"]["after"] == []


class TestSweep:
    def test_removes_what_is_ours_and_nothing_else(self, found):
        swept = found["swept"]
        assert (swept["program"]["status"], swept["program"]["left"], swept["program"]["errors"]) == (0, [], "")
        assert swept["domains"] == ["hvq-foreign", "production"]
        assert swept["images"] == ["production.img"]
        assert swept["logs"] == ["hvq-foreign.log", "production.log"]
        assert swept["alive"] == [False, True, True]

    def test_lifts_the_taint_when_nothing_is_left(self, found):
        assert found["swept"]["tainted"] == []
        assert any("no longer tainted" in line for line in found["swept"]["program"]["did"])

    def test_leaves_a_living_test_alone_and_is_then_not_clean(self, found):
        answer, exists = found["swept"]["living"]
        assert (answer["status"], exists) == (1, True)
        assert any("still lives" in line for line in answer["left"])

    def test_ends_a_living_test_by_force(self, found):
        answer, exists, code = found["swept"]["forced"]
        assert (answer["status"], exists) == (0, False)
        assert code < 0
        assert found["swept"]["again"] == {"status": 0, "errors": "", "did": [], "left": [], "tainted": []}

    def test_a_dead_libvirtd_is_no_clean_node_and_its_guests_are_not_touched(self, found):
        answer = found["dead"]["program"]
        assert answer["status"] == 1
        assert any("libvirtd does not answer" in line and "avocado hvqual clean" in line for line in answer["left"])
        assert found["dead"]["guests"]
        assert "hvq-kept.log" in found["dead"]["logs"]
        assert found["dead"]["logs after"] == ["hvq-foreign.log", "production.log"]
        assert found["dead"]["restarted"]["status"] == 0
        assert found["dead"]["domains"] == ["hvq-foreign", "production"]
