# SPDX-License-Identifier: GPL-2.0-or-later
"""The operator's file for a Bugzilla: what it changes, and where it is wrong."""

import re

import pytest

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.model.finding import Severity
from avocado_hvqual.model.observation import Evidence, Problem
from avocado_hvqual.trackers.settings import COMPONENTS, OTHER, Settings, load_settings
from tests.strategies import attempt, judged, record, trace
from tests.trackers.test_draft import made


def test_settings_change_what_they_name_and_no_more(tmp_path):
    path = tmp_path / "bugs.yaml"
    path.write_text(
        "product: Cloud\nseverities: {critical: urgent}\npriorities: {critical: P1}\n"
        "components: {qemu: qemu-kvm}\ncc: [ops@example.org]\nmarks: [whiteboard]\n",
        encoding="utf-8",
    )
    found = load_settings(path)
    assert found.severities == {"critical": "urgent", "major": "major", "minor": "minor"}
    assert found.components["qemu"] == "qemu-kvm"
    assert found.components["kvm"] == "kvm"
    own = trace(
        problems=(Problem("qemu-crash", "gone"),), status="fail", evidence=(Evidence("e", "x/e.log", "0" * 64, ""),)
    )
    (draft,) = made(judged(record(attempt(status="FAIL", fail_reason="gone", trace=own))), found)
    fields = draft.fields
    assert (fields["severity"], fields["priority"], fields["component"]) == ("urgent", "P1", "qemu-kvm")
    assert fields["cc"] == ["ops@example.org"]
    assert "alias" not in fields


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("prodct: x\n", 1),
        ("product: x\nseverities: {blocker: x}\n", 2),
        ("product: x\ncomponents:\n  qemu: ''\n", 3),
        ("marks: []\n", 1),
        ("product: 'two\\n\\n  lines'\nauth: basic\n", 2),
        ("api_key: secret\n", 1),
        ("- x\n", 1),
        ("", 1),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path, text, line):
    path = tmp_path / "bugs.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError, match=f"^{re.escape(str(path))}:{line}: "):
        load_settings(path)


def test_every_severity_has_a_default():
    assert set(Settings().severities) == {severity.value for severity in Severity}
    assert set(Settings().components) == {*COMPONENTS, OTHER}
