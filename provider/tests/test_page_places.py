# SPDX-License-Identifier: GPL-2.0-or-later
"""Huge pages of guests: exactly those of their memory come out of the pool, and lie on nodes of the host."""

import pytest
from avocado.core.exceptions import TestFail

from provider.hvqual.hugepages import Pool
from provider.hvqual.operations import page_places
from provider.tests.test_repin import Pinning, Record


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (Pool(20, 10, 0, 0), ""),
        (Pool(20, 20, 0, 0), "0 are gone"),
        (Pool(20, 9, 0, 0), "11 are gone"),
        (Pool(20, 20, 10, 0), "10 more are promised"),
        (Pool(30, 20, 0, 10), "its size went from 20 to 30"),
    ],
)
def test_the_pool_gives_exactly_what_the_guests_take(monkeypatch, after, told):
    """Pages that are promised only, or come from elsewhere, are not given."""
    pools = iter([Pool(20, 20, 0, 0), after])
    monkeypatch.setattr(page_places.hugepages, "pool", lambda _: next(pools))
    monkeypatch.setattr(page_places.hugepages, "wanted_kib", lambda _: 10 * 2048)
    pinning = Pinning()
    stand = type("Stand", (), {"guests": pinning.guests, "case": pinning})()
    if not told:
        with page_places.given_out(2048, stand):
            pass
    else:
        with pytest.raises(TestFail, match=told), page_places.given_out(2048, stand):
            pass
    assert pinning.record.seen["pages_given"] is not bool(told)


@pytest.mark.parametrize(("on_nodes", "ratio"), [({0: 4096}, 1.0), ({0: 2048}, 0.5), ({7: 4096}, 0.0), ({}, 0.0)])
def test_pages_lie_on_nodes_of_the_host(monkeypatch, on_nodes, ratio):
    """What lies nowhere, or on a node that the host has not, is not where it should be."""
    monkeypatch.setattr(page_places.numa_policy, "online", lambda: [0])
    placed = type("Placed", (), {"on_nodes": on_nodes})()
    monkeypatch.setattr(page_places.numa_policy, "of_ram", lambda *_: [placed])
    monkeypatch.setattr(page_places.cpu_use, "pid_of", lambda _: 7)
    expect = type("Expect", (), {"record": Record()})()
    spec = type("Spec", (), {"pieces_kib": (4096,), "memory_kib": 4096})()
    guest = type("Guest", (), {"name": "hvq-1", "spec": spec})()
    if ratio == 1:
        page_places.on_nodes(guest, expect)
    else:
        with pytest.raises(TestFail, match="lie on the nodes"):
            page_places.on_nodes(guest, expect)
    assert expect.record.seen["pages_on_nodes"] == ratio
