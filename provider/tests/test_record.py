# SPDX-License-Identifier: GPL-2.0-or-later
"""The record is whole up to the moment at which its writer died, and never holds what was not seen."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provider.hvqual.record import FILE, Record

ROOT = Path(__file__).resolve().parents[2]


def lines(folder):
    """Return the parsed lines of the record in *folder*."""
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def test_lines_are_numbered_without_gap(tmp_path):
    """Each kind of line carries the next number."""
    record = Record(tmp_path)
    record.begin(
        "libvirt:hvqual.x.y:single_big", "hvqual.x.y", "lab", given={"params": {"hv_id": "hvqual.x.y"}, "scale": {}}
    )
    record.observe("a", 1.5, "s", "vm1")
    with record.step("go"):
        record.evidence("note.txt", "text", "what it is")
    record.end("pass", "")
    found = lines(tmp_path)
    assert [line["seq"] for line in found] == list(range(len(found)))
    assert [line["kind"] for line in found] == ["begin", "observation", "step", "evidence", "step", "end"]
    assert (tmp_path / found[3]["path"]).read_text() == "text"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite_is_no_observation(tmp_path, value):
    """NaN is refused where it is written, so that no reader has to guess."""
    with pytest.raises(ValueError, match="JSON"):
        Record(tmp_path).observe("a", value, "s")


def test_a_block_that_raised_took_no_time(tmp_path):
    """A failed boot is not a boot of 240 s."""
    record = Record(tmp_path)
    with pytest.raises(RuntimeError), record.timed("boot"):
        raise RuntimeError
    assert "boot" not in record.samples


def test_a_record_is_never_rewritten(tmp_path):
    """A second test in the same folder is refused instead of erasing the first one's record."""
    Record(tmp_path)
    with pytest.raises(FileExistsError):
        Record(tmp_path)


def test_kill_9_loses_nothing_that_was_observed(tmp_path):
    """A writer that kills itself after an observation leaves that observation on disk."""
    code = (
        "import os, signal, sys\n"
        "from provider.hvqual.record import Record\n"
        "record = Record(sys.argv[1])\n"
        "record.begin('k', 'i', 'lab', given={'params': {}, 'scale': {}})\n"
        "record.observe('a', 1, 'count')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert [line["kind"] for line in lines(tmp_path)] == ["begin", "observation"]
