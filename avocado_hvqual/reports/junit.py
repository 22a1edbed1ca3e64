# SPDX-License-Identifier: GPL-2.0-or-later
"""JUnit XML for whatever shows test results: one suite a phase, and one for what befell the campaign itself."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from avocado_hvqual.model.finding import Finding
from avocado_hvqual.model.qualification import CaseResult, Qualification
from avocado_hvqual.reports.plain import state_of
from avocado_hvqual.reports.words import safe

CAMPAIGN = "campaign"


def render(qualification: Qualification) -> str:
    """Return junit.xml. Not attempted is an error, an open finding a failure; what is waived is told in system-out."""
    root = ET.Element("testsuites", name="avocado-hvqual")
    by_case: dict[str, list[Finding]] = {}
    for finding in qualification.findings:
        by_case.setdefault(finding.case, []).append(finding)
    for phase in dict.fromkeys(result.phase for result in qualification.results):
        suite = ET.SubElement(root, "testsuite", name=phase)
        for result in qualification.results:
            if result.phase == phase:
                _case(suite, result, by_case.pop(result.case, []))
        _count(suite)
    suite = ET.SubElement(root, "testsuite", name=CAMPAIGN)
    verdict = ET.SubElement(suite, "testcase", name="verdict", classname="hvqual")
    told = [f"{gate.id} {gate.answer.value}: {safe(gate.sentence)}" for gate in qualification.gates]
    said = [f"{qualification.verdict.value} ({qualification.basis.value})", *told]
    ET.SubElement(verdict, "system-out").text = "\n".join(said)
    for case, findings in by_case.items():
        element = ET.SubElement(suite, "testcase", name=safe(case or CAMPAIGN), classname="hvqual", time="0.000")
        _tell(element, findings)
    _count(suite)
    _total(root)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _case(suite: ET.Element, result: CaseResult, findings: Sequence[Finding]) -> None:
    parts = result.case.split(":")
    element = ET.SubElement(
        suite, "testcase", name=safe(result.case), classname=safe(parts[1] if len(parts) > 1 else "")
    )
    element.set("time", f"{result.seconds:.3f}")
    if result.outcome == "not required":
        ET.SubElement(element, "skipped", message="Not required on this class of node.")
        return
    if result.outcome == "not attempted":
        worst = findings[0].message if findings else "Never tried."
        ET.SubElement(element, "error", type="not attempted", message=safe(worst))
        findings = findings[1:]
    _tell(element, findings)


def _tell(element: ET.Element, findings: Sequence[Finding]) -> None:
    """Add one failure with all open findings (JUnit has room for one), and the waived ones as output."""
    still_open = [finding for finding in findings if finding.is_open]
    if still_open and element.find("error") is None:
        failure = ET.SubElement(element, "failure", type=still_open[0].kind.value, message=safe(still_open[0].message))
        failure.text = "\n".join(map(_line, still_open))
        still_open = []
    others = [finding for finding in findings if not finding.is_open] + still_open
    if others:
        ET.SubElement(element, "system-out").text = "\n".join(map(_line, others))


def _line(finding: Finding) -> str:
    return safe(f"{finding.severity.value} {finding.kind.value}{state_of(finding)}: {finding.message}")


def _count(suite: ET.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, child in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(child) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")


def _total(root: ET.Element) -> None:
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
