# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that shows no life is asked for by its QEMU's monitor before it goes; one that lives, or is off, is left alone."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from virttest import qemu_monitor

from provider.hvqual import stalled
from provider.hvqual.heartbeat import NETWORK, SERIAL
from provider.hvqual.record import Record


class Observer:
    """Heard a guest so many seconds ago on each channel; never where there is no number."""

    def __init__(self, **ago):
        self.ago = ago

    def beats(self, _vm, channel):
        if "dead" in self.ago:
            message = "The observer is dead."
            raise RuntimeError(message)
        name = {SERIAL: "serial", NETWORK: "network"}[channel]
        return [SimpleNamespace(at=time.monotonic() - self.ago[name])] if name in self.ago else []


def kept(folder, *, on=True, monitor=lambda question: f"answer to {question}", **ago):
    """Return what is kept of a guest with two vCPUs."""
    guest = SimpleNamespace(
        name="hvq-1", on=on, observer=Observer(**ago), monitor=monitor, spec=SimpleNamespace(vcpus=2)
    )
    record = Record(folder)
    stalled.keep(guest, record)
    return [file.read_text() for file in sorted(folder.glob("evidence/vcpus-*.txt"))]


def test_a_guest_that_was_not_heard_for_long_is_asked_for(tmp_path):
    (text,) = kept(tmp_path, serial=9, network=4)
    assert text.count("answer to info registers -a") == stalled.LOOKS
    assert text.count("answer to info lapic 1") == stalled.LOOKS
    assert "info lapic 2" not in text
    (line,) = [one for one in (tmp_path / "observations.jsonl").read_text().splitlines() if '"evidence"' in one]
    assert "was not heard for 4.0 s" in line


@pytest.mark.parametrize(
    "state",
    [
        {"serial": 1, "network": 9},
        {"serial": 9, "network": 1},
        {},
        {"dead": 1},
        {"on": False, "serial": 9},
        {"monitor": None, "serial": 9},
    ],
)
def test_one_that_lives_or_is_off_or_of_which_nobody_can_tell_is_left_alone(tmp_path, state):
    assert kept(tmp_path, **state) == []


def test_a_qemu_that_does_not_answer_is_asked_once_a_look(tmp_path):
    asked = []

    def monitor(question):
        asked.append(question)
        message = "no answer"
        raise qemu_monitor.MonitorError(message)

    (text,) = kept(tmp_path, monitor=monitor, serial=9)
    assert asked == ["info status"] * stalled.LOOKS
    assert "No answer: MonitorError: no answer" in text


def test_what_was_kept_before_is_not_written_over(tmp_path):
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence/vcpus-hvq-1-1.txt").write_text("of the walk")
    assert kept(tmp_path, serial=9)[0] == "of the walk"
    assert (tmp_path / "evidence/vcpus-hvq-1-2.txt").exists()
