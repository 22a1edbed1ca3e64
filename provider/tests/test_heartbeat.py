# SPDX-License-Identifier: GPL-2.0-or-later
"""The observer hears what a guest sends and nothing else, comes back after a break, and says so when it is dead."""

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.hvqual.heartbeat import NETWORK, SERIAL, Beat, Observer, free_socket_path
from provider.hvqual.wait import until
from provider.hvqual.witness import longest_gap

BOOT = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def observer():
    """An observer on loopback with a port that the kernel chose."""
    with Observer("127.0.0.1", 0) as it:
        yield it


def send(observer, text, address=""):
    """Send one datagram to the observer, from *address*."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as guest:
        guest.bind((address, 0))
        guest.sendto(text.encode("latin-1"), observer._udp.getsockname())


def test_an_observer_that_did_not_look_says_so(observer, monkeypatch):
    """Silence while the observer itself was held up is told apart from a guest's own."""
    start = time.monotonic()
    held, go = threading.Event(), threading.Event()
    monkeypatch.setattr(observer, "_connect", lambda: (held.set(), go.wait(5)))
    assert held.wait(5)
    until(lambda: time.monotonic() - start > 0.5, 5, "half a second to pass")
    monkeypatch.undo()
    go.set()
    seen = until(lambda: observer.absence(start, time.monotonic()), 5, "the observer to be back")
    assert 0.3 < seen <= time.monotonic() - start
    assert observer.absence(time.monotonic(), time.monotonic()) == 0
    assert observer.absence(0.0, start) < 0.3


class Guest:
    """The host's end of a virtio-serial channel, as QEMU holds it."""

    def __init__(self, path):
        """Listen at *path*."""
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.listener.settimeout(5)
        self.peer, _ = self.listener.accept()

    def close(self):
        """Go away, as QEMU does when the guest is saved."""
        self.peer.close()
        self.listener.close()


def test_network_beats_are_told_apart_by_vm(observer, tmp_path):
    """Only the named VM hears its beat, with the address from which it came."""
    observer.watch("vm1", str(tmp_path / "1"))
    observer.watch("vm2", str(tmp_path / "2"))
    send(observer, f"HB2 vm1 {BOOT} 7 1234\n")
    (beat,) = until(lambda: observer.beats("vm1", NETWORK), 5, "a beat")
    assert (beat.boot_id, beat.seq, beat.uptime, beat.address) == (BOOT, 7, 12.34, "127.0.0.1")
    assert observer.beats("vm2", NETWORK) == []
    assert observer.beats("vm1", SERIAL) == []


def test_a_guest_is_known_by_the_name_that_it_gives_itself(observer, tmp_path):
    """Of its own boot loader a guest is told no name by the host; others' beats stay others'."""
    observer.watch("vm1", str(tmp_path / "1"))
    observer.watch("vm2", str(tmp_path / "2"))
    observer.known_as("golden-1234", "vm1")
    send(observer, f"HB2 golden-9999 {BOOT} 6 1234\n")
    send(observer, f"HB2 golden-1234 {BOOT} 7 1234\n")
    (beat,) = until(lambda: observer.beats("vm1", NETWORK), 5, "a beat")
    assert (beat.seq, observer.beats("vm2", NETWORK)) == (7, [])


def test_hostile_lines_are_not_beats(observer, tmp_path):
    """Lines of a wrong shape, of another channel, of an unknown VM or of endless digits are not heard."""
    observer.watch("vm1", str(tmp_path / "1"))
    for text in (
        "HB2 vm1",
        f"HB1 vm1 {BOOT} 1 1",
        f"HB2 vm9 {BOOT} 1 1",
        f"HB2 vm1 {BOOT} {'9' * 40} 1",
        "\xff\x00" * 999,
    ):
        send(observer, text)
    send(observer, f"HB2 vm1 {BOOT} 2 2")
    assert [beat.seq for beat in until(lambda: observer.beats("vm1", NETWORK), 5, "a beat")] == [2]


def test_serial_channel_comes_back(observer, tmp_path):
    """After the socket went away and came again (save and restore) the observer hears the guest again."""
    path = free_socket_path(str(tmp_path), "vm1")
    observer.watch("vm1", path)
    for seq in (1, 2):
        guest = Guest(path)
        guest.peer.sendall(f"HB1 vm1 {BOOT} {seq} 5\nHB1 vm1 ".encode())
        (beat,) = until(lambda seq=seq: [b for b in observer.beats("vm1", SERIAL) if b.seq == seq], 5, "a beat")
        assert (beat.boot_id, beat.seq) == (BOOT, seq)
        guest.close()
        (tmp_path / "vm1.hb").unlink()


def test_a_dead_observer_says_so(observer, tmp_path):
    """Silence of the observer itself is never taken for silence, or health, of a guest."""
    observer.watch("vm1", str(tmp_path / "1"))
    observer._selector.close()
    with pytest.raises(RuntimeError, match="observer of heartbeats is dead"):
        until(lambda: observer.beats("vm1", SERIAL) and False, 5, "the observer's end")


@given(st.lists(st.floats(min_value=0, max_value=100), max_size=30))
def test_gap_counts_both_edges(stamps):
    """No beat at all is one gap of the whole window, and no gap is longer than the window."""
    beats = [Beat(at, BOOT, 0, 0) for at in sorted(stamps)]
    gap = longest_gap(beats, 0, 100)
    assert gap <= 100
    assert gap >= 100 / (len(beats) + 1) - 1e-9


def test_gap_of_a_frozen_guest():
    """Beats of each 0.1 s with a hole of 3 s show 3 s."""
    beats = [Beat(n / 10, BOOT, n, 0) for n in range(100) if not 40 <= n < 70]
    assert longest_gap(beats, 0, 9.9) == pytest.approx(3.1)


def test_the_address_is_that_of_the_present_boot(observer, tmp_path):
    """A guest that boots anew has none until it speaks on the network again, whatever it was called before."""
    path = str(tmp_path / "serial")
    after = BOOT.replace("0", "f")
    observer.watch("vm1", path)
    assert observer.address("vm1") == ""
    send(observer, f"HB2 vm1 {BOOT} 1 100\n", "127.0.0.2")
    assert until(lambda: observer.address("vm1"), 5, "an address") == "127.0.0.2"
    guest = Guest(path)
    try:
        guest.peer.send(f"HB1 vm1 {after} 1 10\n".encode())
        until(lambda: observer.beats("vm1", SERIAL), 5, "a beat of the new boot")
        assert observer.address("vm1") == ""
        send(observer, f"HB2 vm1 {after} 2 20\n", "127.0.0.3")
        assert until(lambda: observer.address("vm1"), 5, "an address") == "127.0.0.3"
    finally:
        guest.close()
