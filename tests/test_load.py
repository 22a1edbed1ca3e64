# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrong policies and ledgers: one sentence with file and line, nothing guessed."""

import re

import jsonschema
import pytest

from avocado_hvqual import load
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.model.finding import FindingKind, Severity

POLICY = """\
name: p
not_required_capabilities: []
components: [qemu]
weakest_limits:
  - {id: hvqual.x, observation: gap, limit: max <= 2 s}
smallest_scale:
  - {id: hvqual.x, parameter: hv_rounds, at_least: 3, profiles: [lab]}
severities:
  - {id: a, kinds: [error], severity: minor}
  - {id: unclassified, severity: major}
"""
LEDGER = """\
issues:
  - id: K-1
    bug: https://bugs.example/1
    owner: ops
    state: open
    fix_target: "7.3"
    signature:
      case: "libvirt:*"
      kind: wrong-result
      pattern: "stuck for"
    severity: {is: minor, reason: cosmetic}
    waiver:
      reason: harmless
      expires: 2026-12-31
      scope: {nodes: [node-7]}
"""


def written(tmp_path, text):
    path = tmp_path / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_policy_is_read(tmp_path):
    found = load.load_policy(written(tmp_path, POLICY))
    assert (found.name, found.components, str(found.limit_floors[0].limit)) == ("p", ("qemu",), "max <= 2 s")
    assert (found.scale_floors[0].at_least, len(found.severities.rules)) == (3.0, 2)
    assert found.required, "the shipped required table counts under every policy"


def test_a_policys_digest_tells_it_from_another(tmp_path):
    first = load.load_policy(written(tmp_path, POLICY)).digest
    assert load.load_policy(written(tmp_path, POLICY)).digest == first
    assert load.load_policy(written(tmp_path, POLICY.replace("2 s", "3 s"))).digest != first


def test_a_ledger_is_read(tmp_path):
    (entry,) = load.load_ledger(written(tmp_path, LEDGER)).entries
    assert (entry.id, entry.kind, entry.severity) == ("K-1", FindingKind.WRONG_RESULT, Severity.MINOR)
    assert (entry.waiver_expires.isoformat(), entry.scope.nodes) == ("2026-12-31", ("node-7",))
    assert entry.where.endswith("file.yaml:2")


def test_a_log_expression_is_read(tmp_path):
    text = LEDGER.replace('pattern: "stuck for"', 'pattern: "stuck for"\n      log: "queue [0-9]+"')
    assert load.load_ledger(written(tmp_path, text)).entries[0].log == "queue [0-9]+"


def test_what_cannot_be_made_less_severe_is_refused_without_a_waiver_too(tmp_path):
    text = LEDGER.partition("    waiver:")[0].replace("wrong-result", "vm-lost")
    refused(tmp_path, load.load_ledger, text, ":2: 'vm-lost' cannot be made less severe")
    (entry,) = load.load_ledger(written(tmp_path, text.replace("is: minor", "is: critical"))).entries
    assert entry.severity is Severity.CRITICAL


def test_notice_and_slowness_are_policy(tmp_path):
    found = load.load_policy(written(tmp_path, POLICY))
    assert (found.waiver_notice_days, found.slower.ratio, found.slower.samples) == (14, 1.25, 5)
    more = POLICY + "waiver_notice_days: 30\nslower: {ratio: 2, samples: 9}\n"
    found = load.load_policy(written(tmp_path, more))
    assert (found.waiver_notice_days, found.slower.ratio, found.slower.samples) == (30, 2, 9)
    refused(tmp_path, load.load_policy, more.replace("ratio: 2", "ratio: 1"), ":12: 'slower.ratio'")
    refused(tmp_path, load.load_policy, more.replace("days: 30", "days: -1"), ":11: 'waiver_notice_days'")


def test_without_a_ledger_nothing_is_known():
    assert load.load_ledger(None).entries == ()


def refused(tmp_path, loader, text, said):
    with pytest.raises(DefinitionError) as caught:
        loader(written(tmp_path, text))
    assert re.search(said, str(caught.value)), caught.value
    assert re.match(r"\S+file\.yaml:\d+: ", str(caught.value)), caught.value


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: p\n", "", r":1: The file is wrong: 'name' is a required"),
        ("name: p", "nam: p", r":1: "),
        ("name: p", "name: ''", r":1: 'name' is wrong"),
        ("name: p", "name: 7", r":1: 'name'"),
        ("limit: max <= 2 s", "limit: max <= 2", r":5: The limit 'max <= 2'"),
        ("limit: max <= 2 s", "limit: max <= nan s", r":5: The limit"),
        ("at_least: 3", "at_least: 0", r":7: 'smallest_scale.0.at_least'"),
        ("at_least: 3", "at_least: .nan", r":7: "),
        ("at_least: 3", "at_least: .inf", r":7: "),
        ("kinds: [error]", "kinds: [bad luck]", r":9: 'severities.0.kinds.0'"),
        ("kinds: [error]", "kinds: []", r":9: "),
        ("kinds: [error]", "message: '['", r":9: '\[' is not a regular expression"),
        ("severity: minor", "severity: blocker", r":9: "),
        ("  - {id: unclassified, severity: major}\n", "", r":9: the last row"),
        ("severity: major}", "severity: major, phase: cloud}", r":10: the last row"),
        ("name: p", "name: p\nname: q", r":2: 'name' stands twice"),
        ("name: p", "name: p\nmore: 1", r"more"),
        ("name: p", "name: [p", r":\d+: is not YAML"),
        ("name: p", "name: !!python/object/apply:os.system [id]", r":1: is not YAML"),
        ("name: p", "name: &a [*a]", r"contains itself|found undefined|:1: "),
    ],
)
def test_a_wrong_policy_is_one_sentence(tmp_path, old, new, said):
    assert old in POLICY
    refused(tmp_path, load.load_policy, POLICY.replace(old, new, 1), said)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    bug: https://bugs.example/1\n", "", r":2: 'issues.0' is wrong: 'bug' is a required"),
        ("    owner: ops\n", "", "'owner'"),
        ("bug: https://bugs.example/1", "bug: ' '", ":3: "),
        ("state: open", "state: no", ":5: "),
        ("state: open", "status: open", ""),
        ('pattern: "stuck for"', "", ":8: 'issues.0.signature'"),
        ('pattern: "stuck for"', 'pattern: "("', r":10: '\(' is not a regular"),
        ('pattern: "stuck for"', 'pattern: "(a+)+"', r":10: .* repeats without end"),
        ('pattern: "stuck for"', 'pattern: x\n      log: "["', r":11: '\[' is not a regular"),
        ('pattern: "stuck for"', "log: stuck", ":8: 'issues.0.signature'"),
        ("kind: wrong-result", "kind: host-hang", ":2: 'host-hang' cannot be waived"),
        ("kind: wrong-result", "kind: error", ":2: 'error' says that a case was not attempted"),
        ("state: open", "state: fixed", ":2: 'K-1' is fixed and has a waiver"),
        ("kind: wrong-result", "kind: wrong", ":9: "),
        ("expires: 2026-12-31", "expires: 2026-02-30", ":14: '2026-02-30' is not a day"),
        ("expires: 2026-12-31", "expires: never", ":14: "),
        ("      expires: 2026-12-31\n", "", "'expires' is a required"),
        ("      reason: harmless\n", "", "'reason' is a required"),
        ("severity: {is: minor, reason: cosmetic}", "severity: {is: minor}", "'reason'"),
        ("severity: {is: minor, reason: cosmetic}", "severity: {is: minor, reason: ''}", "reason"),
        ("id: K-1", "id: K 1", ":2: "),
        ("scope: {nodes: [node-7]}", "scope: {nodes: []}", ":15: "),
        ("issues:", "issue:", ":1: "),
    ],
)
def test_a_wrong_ledger_is_one_sentence(tmp_path, old, new, said):
    assert old in LEDGER
    refused(tmp_path, load.load_ledger, LEDGER.replace(old, new, 1), said)


def test_two_entries_of_one_id_are_refused(tmp_path):
    refused(tmp_path, load.load_ledger, LEDGER + LEDGER.split("\n", 1)[1], ":16: the entry 'K-1'")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\x00", b"[" * 5000, b"- a\n- b\n", b"null"])
def test_garbage_is_one_sentence(tmp_path, content):
    refused(tmp_path, load.load_ledger, content, "")
    refused(tmp_path, load.load_policy, content, "")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(DefinitionError, match=r"none\.yaml:1: cannot be read: No such file"):
        load.load_policy(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["policy", "ledger", "journal", "observations", "verdict"])
def test_every_schema_is_one_and_closed(name):
    schema = load.schema(name)
    jsonschema.Draft7Validator.check_schema(schema)
    open_objects = []

    def look(node, place):
        if isinstance(node, dict):
            if node.get("type") == "object" and "properties" in node and node.get("additionalProperties") is not False:
                open_objects.append(place)
            for key, value in node.items():
                look(value, f"{place}.{key}")
        elif isinstance(node, list):
            for number, value in enumerate(node):
                look(value, f"{place}.{number}")

    look(schema, name)
    facts = [place for place in open_objects if not place.endswith(".node")]
    assert facts == []
