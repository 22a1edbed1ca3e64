# SPDX-License-Identifier: GPL-2.0-or-later
"""What avocado-vt sniffs addresses with in our cases: the same program, in the same order, not waited for."""

import functools
import os
import time

import pytest
from virttest import ip_sniffing, utils_env

from provider.hvqual import case, sniffer
from provider.hvqual.wait import until


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A program in tcpdump's place that tells a lease as tcpdump does and stays."""
    program = tmp_path / "tcpdump"
    lease = "    Client-Ethernet-Address 52:54:00:00:00:01\n    Your-IP 192.0.2.7\n    DHCP-Message (53), length 1: ACK"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' 'IP ...' '{lease}'\nexec sleep 60\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ip_sniffing, "Sniffers", (ip_sniffing.TcpdumpSniffer,))
    return program


def started(tmp_path):
    """Return an environment that sniffs, and how long it took to say so."""
    env = utils_env.Env(str(tmp_path / "env"))
    begun = time.monotonic()
    env.start_ip_sniffing({})
    return env, time.monotonic() - begun


def test_every_case_has_it():
    assert case.sniffer is sniffer
    kinds = ip_sniffing.Sniffers
    assert sniffer.TcpdumpAtOnce in kinds
    assert ip_sniffing.TcpdumpSniffer not in kinds


def test_it_stands_where_avocado_vt_has_its_own(monkeypatch):
    first = ip_sniffing.TShark3ToLatest
    monkeypatch.setattr(ip_sniffing, "Sniffers", (first, ip_sniffing.TcpdumpSniffer))
    sniffer.instead()
    sniffer.instead()
    assert ip_sniffing.Sniffers == (first, sniffer.TcpdumpAtOnce)


def test_it_hears_the_same_in_less_time(named, tmp_path):
    took = {}
    for own in (True, False):
        if not own:
            sniffer.instead()
        env, took[own] = started(tmp_path)
        try:
            heard = env.data["address_cache"]
            assert (
                until(functools.partial(heard.get, "52:54:00:00:00:01"), 10, "the address of the lease") == "192.0.2.7"
            )
            assert isinstance(env._sniffer, sniffer.TcpdumpAtOnce) is not own
            assert env._sniffer.is_alive()
        finally:
            env.stop_ip_sniffing()
    assert took[False] < took[True] / 2
