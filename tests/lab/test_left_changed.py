# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab that is taken down tells what killed tests have left changed of the machine itself; the provider's own program writes the log."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from avocado_hvqual import lab
from avocado_hvqual.lab import cli
from avocado_hvqual.lab.left_changed import left_changed
from avocado_hvqual.lab.paths import HOME_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
# A writer that ends without having put anything back, as one that was killed.
RECORD = """
import sys
from provider.hvqual.undo import UndoLog
log = UndoLog(sys.argv[1], sys.argv[2])
log.record("write_kernel_file", path="/proc/sys/vm/nr_hugepages", old="0")
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A state home without a lab."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    return tmp_path


def recorded(home, host):
    """Have a process that has ended leave an entry, and return its file."""
    subprocess.run([sys.executable, "-c", RECORD, str(home), host], cwd=ROOT, check=True, timeout=60)
    [entry] = (home / "undo" / host).glob("[0-9]*")
    return entry


def test_nothing_is_told_of_a_lab_without_a_trace(home):
    assert left_changed() == []


def test_what_was_left_is_named_with_its_host_and_the_way_out(home):
    recorded(home, "hv-b")
    [sentence] = left_changed()
    assert sentence.startswith("Ended tests of hv-b ")
    assert "write_kernel_file" in sentence
    assert "clean --lab" in sentence


def test_an_entry_that_cannot_be_read_counts_too(home):
    entry = recorded(home, "hv-a")
    entry.write_text("{")
    [sentence] = left_changed()
    assert entry.name in sentence


def test_a_log_that_cannot_be_read_is_no_clean_one(home):
    (home / "undo").write_text("no folder")
    assert [sentence.partition(":")[0] for sentence in left_changed()] == [
        f"It is not known what ended tests of {name} have left changed" for name in lab.HOSTS
    ]


def test_down_tells_it(home, monkeypatch, capsys):
    recorded(home, "hv-a")
    monkeypatch.setattr(lab, "down", lambda: None)
    assert cli.run(argparse.Namespace(lab_verb="down")) == 0
    assert "hv-a" in capsys.readouterr().err
