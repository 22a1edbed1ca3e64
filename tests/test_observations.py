# SPDX-License-Identifier: GPL-2.0-or-later
"""The test's own file: read whole, torn at the end at most, anything else named by file and line."""

import json

import jsonschema
import pytest

from avocado_hvqual import load
from avocado_hvqual.errors import JournalError
from avocado_hvqual.observations import FILE, read
from tests.strategies import lines_of, trace

EXTRA = [
    {"kind": "criterion", "observation": "guest_ready", "limit": "max <= 10 s", "answer": "met"},
    {"kind": "evidence", "name": "console", "path": "evidence/console.log", "sha256": "0" * 64, "about": "it"},
    {"kind": "capability", "name": "vhost_net", "ok": False, "reason": "no /dev/vhost-net"},
    {"kind": "step", "name": "start", "phase": "begin"},
    {"kind": "problem", "what": "wrong-text", "message": "typo", "vm": None},
    {"kind": "undo", "action": "a", "status": "done", "message": "m"},
]


def written(tmp_path, lines, tail=""):
    path = tmp_path / FILE
    text = "".join(json.dumps({**line, "seq": number, "mono": 1.0}) + "\n" for number, line in enumerate(lines))
    path.write_text(text + tail, encoding="utf-8")
    return path


def test_a_whole_file_is_read(tmp_path):
    lines = lines_of(trace())
    lines[2:2] = EXTRA
    found = read(written(tmp_path, lines), "job/1")
    assert (found.case, found.status, found.torn) == (trace().case, "pass", False)
    assert [(one.name, one.value, one.unit) for one in found.observations] == [("guest_ready", 2.5, "s")]
    assert found.evidence[0].path == "job/1/evidence/console.log"
    assert found.capabilities[0].name == "vhost_net"
    assert found.open_steps == ("start",)
    assert found.problems[0].what == "wrong-text"
    assert found.criteria == (("guest_ready", "max <= 10 s", "met"),)
    assert (found.digest_before, found.digest_after) == ("aa", "aa")


def test_each_kind_of_line_fits_the_published_schema():
    validator = jsonschema.Draft7Validator(load.schema("observations"))
    lines = lines_of(trace()) + EXTRA
    for number, line in enumerate(lines):
        validator.validate({**line, "seq": number, "mono": 1.0})
    assert {line["kind"] for line in lines} == {
        v["properties"]["kind"]["const"] for v in load.schema("observations")["oneOf"]
    }


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_tail_is_a_killed_test(tmp_path, cut):
    path = written(tmp_path, lines_of(trace()))
    path.write_bytes(path.read_bytes()[:-cut])
    found = read(path)
    assert (found.torn, found.status) == (True, None)


def test_a_file_whose_first_line_is_torn_says_that_nothing_began(tmp_path):
    path = tmp_path / FILE
    for text in ("", '{"kind": "beg'):
        path.write_text(text, encoding="utf-8")
        assert read(path) is None


def without(index):
    return lambda lines: lines.pop(index)


def changed(index, **fields):
    return lambda lines: lines[index].update(fields)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (changed(2, value=None), 3),
        (changed(2, value=[1]), 3),
        (changed(2, value=float("nan")), 3),
        (changed(2, value=float("inf")), 3),
        (changed(2, name=7), 3),
        (changed(2, unit=None), 3),
        (changed(2, samples=True), 3),
        (changed(2, kind="opinion"), 3),
        (changed(2, kind="step", phase="end"), 3),
        (changed(2, kind="problem", what="bad luck", message=""), 3),
        (changed(2, kind="evidence", path="../../etc/passwd", sha256="", about=""), 3),
        (changed(2, kind="evidence", path="/etc/passwd", sha256="", about=""), 3),
        (changed(4, status="fine"), 5),
        (changed(0, case=None), 1),
        (changed(0, scale=[]), 1),
        (changed(1, kind="begin"), 2),
        (without(0), 1),
    ],
)
def test_a_wrong_line_is_named(tmp_path, change, line):
    lines = lines_of(trace())
    change(lines)
    with pytest.raises(JournalError, match=rf"{FILE}:{line}: "):
        read(written(tmp_path, lines))


@pytest.mark.parametrize("order", [[0, 1, 3, 4], [0, 1, 2, 2, 3, 4], [0, 2, 1, 3, 4]])
def test_lost_doubled_and_moved_lines_are_named(tmp_path, order):
    lines = lines_of(trace())
    (tmp_path / FILE).write_text("".join(json.dumps(lines[place]) + "\n" for place in order), encoding="utf-8")
    with pytest.raises(JournalError, match="lost, doubled or moved"):
        read(tmp_path / FILE)


def test_nothing_follows_the_end(tmp_path):
    lines = lines_of(trace())
    with pytest.raises(JournalError, match="nothing follows"):
        read(written(tmp_path, [*lines, lines[2]]))


def test_garbage_is_named(tmp_path):
    path = tmp_path / FILE
    path.write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(JournalError, match=f"{FILE}:1: not JSON"):
        read(path)
    path.unlink()
    with pytest.raises(JournalError, match="cannot be read"):
        read(path)
