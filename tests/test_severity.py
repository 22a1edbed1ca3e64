# SPDX-License-Identifier: GPL-2.0-or-later
"""The severity table: total, ordered, no row in vain."""

import pytest

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.model.finding import UNWAIVABLE, FindingKind, Severity
from avocado_hvqual.severity import Rule, SeverityTable, Subject
from tests.strategies import CLOUD, POLICY, START

LAST = Rule("unclassified", Severity.MAJOR, where="p.yaml:9")


def of(kind, **facts):
    return POLICY.severities.of(Subject(FindingKind(kind), **facts))[0].value


@pytest.mark.parametrize("kind", FindingKind, ids=lambda kind: kind.value)
def test_every_kind_has_a_row_that_names_it(kind):
    rows = [rule for rule in POLICY.severities.rules if kind in rule.kinds and not any(rule.conditions)]
    assert len(rows) == 1
    assert POLICY.severities.of(Subject(kind, phase="hypervisor")) == (rows[0].severity, rows[0].id)


@pytest.mark.parametrize(
    ("kind", "severity"),
    [
        ("host-hang", "critical"),
        ("host-reboot", "critical"),
        ("host-panic", "critical"),
        ("host-lockup", "critical"),
        ("host-mce", "critical"),
        ("data-loss", "critical"),
        ("guest-panic", "critical"),
        ("vm-lost", "critical"),
        ("operation-refused", "major"),
        ("wrong-result", "major"),
        ("sla-unmet", "major"),
        ("leftover", "major"),
        ("wrong-text", "minor"),
        ("missing-message", "minor"),
    ],
)
def test_the_requirements_own_examples(kind, severity):
    assert of(kind, phase="hypervisor", case=START) == severity


@pytest.mark.parametrize("kind", FindingKind, ids=lambda kind: kind.value)
def test_in_the_cloud_phase_everything_is_critical(kind):
    assert of(kind.value, phase="cloud", case=CLOUD) == "critical"


def test_what_cannot_be_waived_is_critical():
    assert {of(kind.value) for kind in UNWAIVABLE} == {"critical"}


CONDITIONS = [
    ({"phase": "cloud"}, {"phase": "cloud"}, {"phase": "hypervisor"}),
    ({"category": "cpu"}, {"category": "cpu"}, {"category": "disk"}),
    ({"observation": "gap"}, {"observation": "gap"}, {"observation": "gaps"}),
    ({"component": "qemu"}, {"components": ("kvm", "qemu")}, {"components": ("kvm",)}),
    ({"id_pattern": "hvqual.cpu.*"}, {"case": "libvirt:hvqual.cpu.pin:none"}, {"case": "libvirt:hvqual.disk.cpu:none"}),
    ({"message": "lock(ed|up)"}, {"message": "it is locked"}, {"message": "it is open"}),
    ({"kinds": frozenset({FindingKind.ERROR})}, {}, None),
]


@pytest.mark.parametrize(("condition", "fits", "fails"), CONDITIONS)
def test_each_condition_decides(condition, fits, fails):
    rule = Rule("r", Severity.MINOR, **condition)
    assert rule.matches(Subject(FindingKind.ERROR, **fits))
    other = Subject(FindingKind.LEFTOVER) if fails is None else Subject(FindingKind.ERROR, **fails)
    assert not rule.matches(other)


def test_the_first_match_wins():
    table = SeverityTable(
        (Rule("a", Severity.MINOR, phase="cloud"), Rule("b", Severity.CRITICAL, category="cpu"), LAST)
    )
    assert table.of(Subject(FindingKind.ERROR, phase="cloud", category="cpu")) == (Severity.MINOR, "a")


ERROR, NOT_RUN = frozenset({FindingKind.ERROR}), frozenset({FindingKind.NOT_RUN})


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ((), "the last row has to be"),
        ((Rule("a", Severity.MINOR),), "the last row has to be"),
        ((Rule("unclassified", Severity.MINOR),), "the last row has to be"),
        ((Rule("unclassified", Severity.MAJOR, phase="cloud"),), "the last row has to be"),
        ((Rule("unclassified", Severity.MAJOR, kinds=ERROR),), "the last row has to be"),
        ((LAST, LAST), "id of an earlier row"),
        ((Rule("a", Severity.MINOR, ERROR), Rule("b", Severity.MAJOR, ERROR), LAST), "says major where 'a' says minor"),
        ((Rule("a", Severity.MINOR, ERROR), Rule("b", Severity.MINOR, ERROR, phase="cloud"), LAST), "can never match"),
        ((Rule("a", Severity.MINOR), Rule("b", Severity.MINOR, ERROR), LAST), "can never match"),
        (
            (
                Rule("a", Severity.MINOR, ERROR),
                Rule("b", Severity.MAJOR, NOT_RUN),
                Rule("c", Severity.MAJOR, ERROR | NOT_RUN),
                LAST,
            ),
            "'c' can never",
        ),
    ],
)
def test_a_table_that_is_none_is_refused(rules, said):
    with pytest.raises(DefinitionError, match=said):
        SeverityTable(rules)


def test_rows_that_overlap_in_part_are_a_table():
    rules = (Rule("a", Severity.MINOR, ERROR, phase="cloud"), Rule("b", Severity.MINOR, ERROR | NOT_RUN), LAST)
    assert SeverityTable(rules).rules == rules


BY_PHASE = tuple(Rule(phase, Severity.MINOR, ERROR, phase=phase) for phase in ("preparation", "hypervisor", "cloud"))
CPU = Rule("cpu", Severity.MINOR, category="cpu")
WIDE = Rule("wide", Severity.MINOR, id_pattern="hvqual.cpu.*")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ((Rule("a", Severity.MINOR, ERROR), Rule("b", Severity.MINOR, ERROR | NOT_RUN)), "'b' names error in vain"),
        ((*BY_PHASE, Rule("b", Severity.MAJOR, ERROR, category="cpu")), "'b' can never match"),
        ((*BY_PHASE, Rule("b", Severity.MAJOR, ERROR | NOT_RUN, component="qemu")), "'b' names error in vain"),
        ((CPU, Rule("b", Severity.MAJOR, ERROR, id_pattern="hvqual.cpu.pin.*")), "'b' can never match"),
        ((WIDE, Rule("b", Severity.MAJOR, id_pattern="hvqual.cpu.pin.?[a]*")), "'b' can never match"),
        ((WIDE, Rule("b", Severity.MAJOR, id_pattern="hvqual.cpu.pin")), "'b' can never match"),
        ((WIDE, Rule("b", Severity.MAJOR, ERROR, category="cpu")), "'b' can never match"),
    ],
)
def test_a_row_that_several_earlier_rows_shadow_together_is_refused(rules, said):
    with pytest.raises(DefinitionError, match=said):
        SeverityTable((*rules, LAST))


@pytest.mark.parametrize(
    "rules",
    [
        (*BY_PHASE, Rule("b", Severity.MAJOR, ERROR)),  # what befell the campaign has no phase
        (*BY_PHASE[:2], Rule("b", Severity.MAJOR, ERROR, category="cpu")),
        (WIDE, Rule("b", Severity.MAJOR, id_pattern="hvqual.c*")),
        (CPU, Rule("b", Severity.MAJOR, id_pattern="hvqual.*")),
        (Rule("a", Severity.MINOR, id_pattern="hvqual.cpu.?"), Rule("b", Severity.MAJOR, id_pattern="hvqual.cpu.*")),
        (Rule("a", Severity.MINOR, message="x"), Rule("b", Severity.MAJOR, message="y")),
        (Rule("a", Severity.MINOR, ERROR), Rule("b", Severity.MAJOR, phase="hypervisor")),
    ],
)
def test_a_row_that_can_still_match_is_kept(rules):
    table = SeverityTable((*rules, LAST))
    subjects = [
        Subject(kind, f"libvirt:{use}:none" if use else "", category, phase, "", message)
        for kind in FindingKind
        for use, category in (("", ""), ("hvqual.cpu.pin.x", "cpu"), ("hvqual.cpu.ab", "cpu"), ("hvqual.cx.y", "cx"))
        for phase in ("preparation", "hypervisor", "cloud", "")
        for message in ("x", "y")
    ]
    assert "b" in {table.of(subject)[1] for subject in subjects}
