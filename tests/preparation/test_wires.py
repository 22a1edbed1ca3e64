# SPDX-License-Identifier: GPL-2.0-or-later
"""What a test guest's wire tells of a lease that did not come."""

import pytest

from avocado_hvqual.preparation.programs.guest_agent import loose_wires


@pytest.mark.parametrize(
    ("master", "port", "told"),
    [
        ("virbr0", "", ""),
        (
            "other0",
            "",
            " Its wire vnet0 is not in the bridge virbr0: something on this host took it out ('networkctl status vnet0').",
        ),
        (
            None,
            "",
            " Its wire vnet0 is not in the bridge virbr0: something on this host took it out ('networkctl status vnet0').",
        ),
        (None, "<virtualport type='openvswitch'/>", ""),
    ],
)
def test_a_wire_that_is_not_in_its_bridge_is_named_with_the_lease_that_did_not_come(tmp_path, master, port, told):
    """Seen on Debian 12: systemd-networkd 252, with a .network file for every 'ether', takes vnet0 from virbr0."""
    (tmp_path / "vnet0").mkdir()
    if master:
        (tmp_path / master).mkdir()
        (tmp_path / "vnet0" / "master").symlink_to(f"../{master}")
    card = f"<interface><source network='default' bridge='virbr0'/><target dev='vnet0'/>{port}</interface>"
    assert loose_wires(f"<domain><devices>{card}<interface type='user'/></devices></domain>", tmp_path) == told
