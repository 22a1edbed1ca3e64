# SPDX-License-Identifier: GPL-2.0-or-later
"""Who answers at an address, by the kernel's table: one line a neighbour, and some that are not known yet."""

import socket

import pytest

from provider.hvqual import neighbours

TABLE = """IP address       HW type     Flags       HW address            Mask     Device
192.168.122.7    0x1         0x2         52:54:00:00:00:0A     *        virbr0
192.168.122.70   0x1         0x0         00:00:00:00:00:00     *        virbr0
192.168.122.71   0x1         0x6         52:54:00:00:00:0b     *        virbr0
"""


@pytest.mark.parametrize(
    ("address", "mac"),
    [
        ("192.168.122.7", "52:54:00:00:00:0a"),
        ("192.168.122.70", ""),
        ("192.168.122.71", "52:54:00:00:00:0b"),
        ("192.168.122.1", ""),
    ],
)
def test_the_table_is_read_by_the_whole_address_and_what_is_not_complete_is_not_known(address, mac):
    assert neighbours.mac_of(address, TABLE) == mac
    assert neighbours.mac_of(address, TABLE.splitlines()[0]) == ""


def test_nobody_answers_where_nobody_listens_and_who_does_is_looked_up(tmp_path, monkeypatch):
    table = tmp_path / "arp"
    table.write_text(TABLE.replace("192.168.122.7 ", "127.0.0.1 "))
    monkeypatch.setattr(neighbours, "ARP", table)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert neighbours.answering("127.0.0.1", port) == ""
        listener.listen(1)
        assert neighbours.answering("127.0.0.1", port) == "52:54:00:00:00:0a"
