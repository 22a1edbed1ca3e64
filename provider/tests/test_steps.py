# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest sees is held against what it was given, each difference named."""

import pytest

from provider.hvqual.domain_xml import Disk, Spec
from provider.hvqual.steps import matches

SPEC = Spec("hvq-1-1", "u", 2, 524288, ("52:54:00:aa:bb:01",), (Disk("/d", 64),))
SEEN = {
    "cpus_online": "2",
    "memory_kib": "490000",
    "disks": "vda:131072",
    "nics": "eth0:52:54:00:aa:bb:01:192.168.122.7",
}


def test_the_same_is_no_difference():
    """A guest that sees what it was given gets no sentence."""
    assert matches(SPEC, SEEN) == ""


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"cpus_online": "1"}, "1 CPUs instead of 2"),
        ({"memory_kib": "262144"}, "262144 KiB"),
        ({"memory_kib": "999999"}, "999999 KiB"),
        ({"disks": "vda:2048"}, "'vda:2048' instead of 'vda:131072'"),
        ({"disks": ""}, "'' instead of 'vda:131072'"),
        ({"disks": "vda:131072 vdb:2048"}, "instead of 'vda:131072'"),
        ({"nics": "eth0:52:54:00:aa:bb:02:none"}, "instead of 52:54:00:aa:bb:01"),
    ],
)
def test_each_difference_is_named(change, named):
    """Fewer or more than was given, of anything, is told."""
    assert named in matches(SPEC, {**SEEN, **change})
