# SPDX-License-Identifier: GPL-2.0-or-later
"""Counters are read from what the programs really write; what goes back or vanishes is noticed."""

from __future__ import annotations

import os
import time

import pytest

from provider.hvqual import counters

DOMSTATS = """Domain: 'hvq-1'
  cpu.time=2104563210
  balloon.current=262144
  vcpu.0.state=1
  vcpu.0.time=1200000000
  vcpu.1.time=800000000
  net.0.name=vnet3
  net.0.rx.bytes=4121
  net.0.tx.bytes=9000
  net.1.tx.bytes=1000
  block.0.name=vda
  block.0.wr.bytes=8388608

"""
DISKSTATS = """ 252       0 vda 132 0 16896 12 129 0 16640 40 0 52 52 0 0 0 0 1 0
 253       0 vdb 1 0 8 0 0 0 0 0 0 0 0
"""
NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0
  eth0: 1044218    1026    0    0    0     0          0         0  1051200    1101    0    0    0     0       0          0
  eth1:     100       1    0    0    0     0          0         0      200       2    0    0    0     0       0          0
"""


def test_domstats_gives_numbers_and_sums():
    stats = counters.domstats(DOMSTATS)
    assert stats["block.0.wr.bytes"] == 8388608
    assert "net.0.name" not in stats
    assert counters.total(stats, r"net\.\d+\.tx.bytes") == 10000
    assert counters.total(stats, r"vcpu\.\d+\.time") == 2000000000


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("vda rd_req 132\nvda wr_bytes 8519680\n", "wr_bytes", 8519680),
        ("vnet3 tx_packets 1101\n", "tx_packets", 1101),
        ("actual 262144\nrss 190000\n", "rss", 190000),
    ],
)
def test_the_other_commands(text, name, value):
    assert counters.command_stats(text)[name] == value


def test_cpu_stats_are_seconds():
    text = "Total:\n\tcpu_time         3.104563210 seconds\n\tuser_time        2.500000000 seconds\n"
    assert counters.cpu_stats(text) == {"cpu_time": 3.10456321, "user_time": 2.5}


def test_the_guests_own_counters():
    assert counters.diskstats(DISKSTATS)["vda"] == (16896 * 512, 16640 * 512)
    assert counters.net_dev(NET_DEV) == (1044318, 1051400)
    assert counters.meminfo("MemTotal:  500 kB\nMemFree:         300 kB\n")["MemFree"] == 300


def test_a_counter_that_goes_back_or_vanishes_is_noticed():
    first = {"cpu.time": 5, "block.0.wr.bytes": 7, "balloon.rss": 9}
    assert counters.went_back([first, {**first, "cpu.time": 6, "balloon.rss": 1}]) == []
    assert counters.went_back([first, {**first, "cpu.time": 4}]) == ["cpu.time"]
    assert counters.went_back([first, {"cpu.time": 5}, first]) == ["block.0.wr.bytes"]
    assert counters.went_back([]) == []


def test_the_hosts_counters_of_a_process():
    me = os.getpid()
    before = counters.process_seconds(me)
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert counters.process_seconds(me) - before == pytest.approx(0.1, abs=0.05)
    assert counters.resident_kib(me) > 1000
    assert counters.written_bytes(me) >= 0
    assert counters.vcpu_seconds(me) == 0


def test_a_link_counts_the_other_way_round(tmp_path, monkeypatch):
    folder = tmp_path / "vnet0" / "statistics"
    folder.mkdir(parents=True)
    (folder / "rx_bytes").write_text("7\n")
    (folder / "tx_bytes").write_text("5\n")
    monkeypatch.setattr(counters, "NETWORK", tmp_path)
    assert counters.link_bytes(["vnet0"]) == (5, 7)
