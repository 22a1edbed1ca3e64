# SPDX-License-Identifier: GPL-2.0-or-later
"""The one event that is put into a monitor's stream, and nothing else."""

import json
import os
import socket
import threading

import pytest

from tests.e2e import mended_qemu


def ost(source=3, status=0, slot_type="CPU"):
    """Return the line of an ACPI event."""
    info = {"source": source, "status": status, "slot": "2", "slot-type": slot_type}
    return (
        json.dumps({"timestamp": {"seconds": 1}, "event": "ACPI_DEVICE_OST", "data": {"info": info}}).encode() + b"\r\n"
    )


def test_a_vcpu_that_was_let_go_is_told():
    first, second = mended_qemu.mended(ost()).splitlines()
    assert first + b"\r\n" == ost()
    told = json.loads(second)
    assert told["event"] == "DEVICE_DELETED"
    assert told["data"] == {"device": "vcpu2", "path": "/machine/peripheral/vcpu2"}


@pytest.mark.parametrize("line", [ost(source=1), ost(status=132), ost(slot_type="DIMM"), b'{"return": {}}\r\n'])
def test_all_else_is_passed_on_as_it_is(line):
    assert mended_qemu.mended(line) == line


def test_both_ways_and_descriptors_are_passed_on():
    libvirt, near = socket.socketpair()
    far, qemu = socket.socketpair()
    thread = threading.Thread(target=mended_qemu.pump, args=(near, far))
    thread.start()
    reading, writing = os.pipe()
    socket.send_fds(libvirt, [b"getfd\n"], [writing])
    data, fds, _, _ = socket.recv_fds(qemu, 100, 4)
    assert data == b"getfd\n"
    assert os.write(fds[0], b"x") == 1
    # Half a line waits for its other half.
    qemu.sendall(ost()[:20])
    qemu.sendall(ost()[20:])
    got = b""
    while got.count(b"\n") < 2:
        got += libvirt.recv(4096)
    assert got == mended_qemu.mended(ost())
    qemu.close()
    thread.join(5)
    assert not thread.is_alive()
    for number in (reading, writing, *fds):
        os.close(number)
