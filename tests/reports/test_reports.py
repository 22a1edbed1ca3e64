# SPDX-License-Identifier: GPL-2.0-or-later
"""Every report of every fixed run: golden, valid, the same bytes again, and deaf to what a guest calls itself."""

import html.parser
import json
import re
from dataclasses import replace
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from avocado_hvqual import load
from avocado_hvqual.errors import HvqualError
from avocado_hvqual.judging.advice import ADVICE
from avocado_hvqual.loader import load_campaign
from avocado_hvqual.model.answer import Answer
from avocado_hvqual.model.finding import FindingKind, Severity
from avocado_hvqual.model.observation import Problem
from avocado_hvqual.model.verdict import Verdict
from avocado_hvqual.reports import REPORTS, plain, verdict_json, words, write
from avocado_hvqual.reports import html as page
from avocado_hvqual.reports.expected import EXPECTED
from tests import strategies as make
from tests.reports.runs import HOSTILE, RUNS

GATES = {
    f"hvqual.gate.{name}"
    for name in (
        "attempted_hv",
        "no_critical_major",
        "minor_target",
        "attempted_cloud",
        "cloud_none_pending",
        "phase_order",
        "severity",
        "bug_report",
    )
}
"""The exit criteria that the judge answers, no more and no less."""

EACH = pytest.mark.parametrize("run", RUNS)


@EACH
@pytest.mark.parametrize("name", REPORTS)
def test_golden(golden, run, name):
    golden(f"{name}/{run}.{name.rpartition('.')[2]}", REPORTS[name](RUNS[run]()))


def test_the_tables_are_complete():
    assert set(words.VERDICTS) == set(words.MEANINGS) == set(Verdict)
    assert set(words.SEVERITIES) == set(Severity)
    assert set(words.ANSWERS) == set(Answer)
    assert set(ADVICE) == set(FindingKind)
    tones = {
        word.tone
        for table in (words.VERDICTS, words.SEVERITIES, words.ANSWERS, words.OUTCOMES)
        for word in table.values()
    }
    assert tones <= set(words.STYLES)
    style = (page.TEMPLATES / "style.css").read_text(encoding="utf-8")
    assert all(f".{tone} {{" in style for tone in tones)
    assert {word.symbol for word in (*words.OUTCOMES.values(), *words.ANSWERS.values())} <= set(words.GLYPHS)
    assert set(EXPECTED) == set(FindingKind)


@EACH
def test_verdict_json_fits_the_published_schema(run):
    document = json.loads(verdict_json.render(RUNS[run]()))
    jsonschema.Draft7Validator(load.schema("verdict")).validate(document)
    assert set(document) == set(load.schema("verdict")["required"])


def test_the_schema_is_closed():
    document = verdict_json.document(RUNS["waived"]())
    validator = jsonschema.Draft7Validator(load.schema("verdict"))
    assert not validator.is_valid({**document, "more": 1})
    assert not validator.is_valid({**document, "verdict": "FINE"})
    for name in document:
        assert not validator.is_valid({key: value for key, value in document.items() if key != name})


@EACH
def test_verdict_json_says_what_the_qualification_says(run):
    found, document = RUNS[run](), json.loads(verdict_json.render(RUNS[run]()))
    assert (document["verdict"], document["required"], document["attempted"]) == (
        found.verdict.value,
        found.required,
        found.attempted,
    )
    assert [one["message"] for one in document["findings"]] == [one.message for one in found.findings]


@EACH
def test_junit_counts_are_its_contents(run):
    root = ET.fromstring(REPORTS["junit.xml"](RUNS[run]()))
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.get("tests")) == len(cases)
        assert int(suite.get("failures")) == sum(case.find("failure") is not None for case in cases)
        assert int(suite.get("errors")) == sum(case.find("error") is not None for case in cases)
        for case in cases:
            assert len({child.tag for child in case} & {"failure", "error", "skipped"}) <= 1
    bad = int(root.get("failures")) + int(root.get("errors"))
    found = RUNS[run]()
    assert (bad > 0) is ((not found.clean and found.required > 0) or any(one.is_open for one in found.findings))


class Page(html.parser.HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.attributes, self.said = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.links += [value for name, value in attrs if name in {"href", "src", "action", "data"}]

    def handle_data(self, data):
        self.said.append(data)


@EACH
def test_the_page_loads_nothing_and_runs_nothing(run):
    text = REPORTS["report.html"](RUNS[run]())
    found = Page(text)
    assert not {"script", "img", "iframe", "link", "object", "embed", "form", "base", "use", "foreignobject"} & set(
        found.tags
    )
    assert not [attribute for attribute in found.attributes if attribute[1].startswith("on")]
    assert all(link.startswith(("./", "#")) for link in found.links)
    assert "url(" not in text
    assert "@import" not in text


def test_the_first_screen_answers_the_four_questions():
    text = REPORTS["report.html"](RUNS["unknown"]())
    head = text[: text.index('<section id="findings">')]
    for question in (
        "May the node join?",
        "Why not",
        "What next",
        "What was not covered",
        "0 of 2 required cases attempted",
    ):
        assert question in head


def test_hostile_text_is_text_in_the_page():
    text = REPORTS["report.html"](RUNS["hostile"]())
    assert "<script>" not in text
    assert "{{ 7*7 }}" in Page(text).said[0] or any("{{ 7*7 }}" in said for said in Page(text).said)
    assert not set(text) & set("\x1b\x07\x00\u202e")


@pytest.mark.parametrize("name", ["report.txt", "junit.xml"])
def test_hostile_text_moves_no_cursor(name):
    text = REPORTS[name](RUNS["hostile"]())
    assert not set(text) & set("\x1b\x07\x00\u202e\r")
    assert "\u202e" not in text


def test_a_message_cannot_fake_a_line_of_the_terminal():
    forged = replace(RUNS["tainted"](), notes=("x\n[+] QUALIFIED\nMay the node join? Yes.",))
    assert not [line.text for line in plain.lines(forged) if line.text.startswith("[+]")]


@pytest.mark.parametrize(
    "text", ["\x1b]0;title\x07x", "\x1b[2Jx", "\x9b2Jx", "\x1bcx", "\x1b", "a\u200bb", "\udcff", "\U000e0041", "\r\nx"]
)
def test_safe_leaves_nothing_that_acts(text):
    assert not set(words.safe(text)) & set("\x1b\x9b\x07\r\n\u200b\udcff\U000e0041")


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a\x00b"])
def test_a_path_that_leads_out_of_the_campaign_is_no_link(path):
    assert page.link(path) == ""


def test_a_path_within_is_a_link_and_cannot_be_a_scheme():
    assert page.link("a b/c#d?.log") == "./a%20b/c%23d%3F.log"
    assert page.link("javascript:alert(1)") == "./javascript%3Aalert%281%29"


def test_the_links_of_a_campaign_resolve(tmp_path):
    folder = make.write_campaign(tmp_path / "c")
    path = folder / "job/test-results/1-start/observations.jsonl"
    lines = make.lines_of(make.trace(values=(11.0,)))
    (path.parent / "evidence").mkdir()
    (path.parent / "evidence/a b.log").write_text("x", encoding="utf-8")
    lines.insert(3, {"kind": "evidence", "name": "n", "path": "evidence/a b.log", "sha256": "0" * 64, "about": "x"})
    path.write_text(
        "".join(json.dumps({**line, "seq": n, "mono": 1.0}) + "\n" for n, line in enumerate(lines)), encoding="utf-8"
    )
    found = make.judged(load_campaign(folder))
    write(found, folder)
    links = [link for link in Page((folder / "report.html").read_text(encoding="utf-8")).links if link.startswith("./")]
    assert any("a%20b.log" in link for link in links)
    assert [link for link in links if not (folder / unquote(link)).exists()] == []


def test_the_same_fault_in_several_cases_says_so_where_it_is_listed():
    problem = Problem("guest-freeze", "The guest hvq-7 stood still for 4.5 s.")
    tries = [
        make.attempt(
            key, "FAIL", fail_reason=problem.message, trace=make.trace(key, status="fail", problems=(problem,))
        )
        for key in (make.START, make.STOP)
    ]
    found = make.judged(make.record(*tries))
    (name,) = {one.fingerprint for one in found.findings if one.kind is FindingKind.GUEST_FREEZE}
    short = [line.text for line in plain.lines(found)]
    at = next(number for number, text in enumerate(short) if text.endswith(f"{make.STOP}, also in 1 case"))
    assert f"      fingerprint {name}" in short[at : at + 4]
    assert plain.render(found).count(", also in 1 case\n") == 2
    assert "also in 1 case</summary>" in REPORTS["report.html"](found)
    document = verdict_json.document(found)
    assert [one["case"] for one in document["findings"] if one["fingerprint"] == name] == [make.STOP, make.START]


def test_a_fault_that_befell_the_campaign_twice_names_no_case():
    found = make.judged(make.record(problems=("harness: disk 1", "harness: disk 2")))
    assert [text for text in (line.text for line in plain.lines(found)) if text.endswith("campaign, and 1 other alike")]


def test_long_lists_are_cut_on_the_terminal_and_whole_in_the_report():
    keys = [f"libvirt:hvqual.cpu.case{number}:none" for number in range(30)]
    found = make.judged(make.record(cases=keys, attempts=()))
    short = "\n".join(line.text for line in plain.lines(found))
    assert "libvirt:hvqual.cpu.case0:none, also in 29 cases" in short
    assert "... and 12 more" in short, "the components count as well"
    assert all(key in plain.render(found) for key in keys)


@EACH
def test_the_same_input_gives_the_same_bytes(run):
    for render in REPORTS.values():
        assert render(RUNS[run]()) == render(RUNS[run]())


def test_incomplete_and_bad_is_a_no():
    head = "\n".join(line.text for line in plain.lines(RUNS["tainted"]()))
    assert "May the node join? No." in head
    head = "\n".join(line.text for line in plain.lines(RUNS["unknown"]()))
    assert "May the node join? Not yet." in head


def test_half_a_report_is_never_seen(tmp_path):
    write(RUNS["clean"](), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(REPORTS)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(HvqualError, match="cannot be written"):
        write(RUNS["clean"](), tmp_path / "file")


def test_hostile_is_hostile():
    assert "<script>" in HOSTILE


@EACH
@pytest.mark.parametrize("name", REPORTS)
def test_every_exit_criterion_is_told_with_its_answer_and_why(run, name):
    found = RUNS[run]()
    assert len({gate.id for gate in found.gates}) == len(GATES)
    assert {gate.id for gate in found.gates} == GATES
    text = REPORTS[name](found)
    said = "".join(Page(text).said) if name.endswith("html") else text.replace("&quot;", '"')
    for gate in found.gates:
        assert gate.id in said
        assert gate.sentence[:30] in said.replace('\\"', '"')


@EACH
def test_explained_is_every_step_with_rule_numbers_case_and_file(run):
    found = RUNS[run]()
    said = [line.text.strip() for line in plain.lines(found, explain=True)]
    assert said[-1].endswith(f"the verdict is {found.verdict.value}.") or said[-1].endswith(
        f"The verdict is {found.verdict.value}."
    )
    for finding in found.findings:
        assert any(
            f"rule '{finding.rule}', fingerprint {finding.fingerprint}; it allows at best" in line for line in said
        )
        assert all(f"evidence: {words.safe(path)}" in said for path in finding.evidence)
    for result in found.results:
        assert any(words.safe(result.case) in line for line in said)
        assert all(any(words.safe(one.sentence) in line for line in said) for one in result.judgements)
        assert not result.judgements or f"read from: {words.safe(result.logdir)}/observations.jsonl" in said
    text = "\n".join(said)
    counts = rf"{found.attempted} of {found.required} required cases? (was|were) attempted, which allows at best"
    assert re.search(counts, text)
    assert all(gate.reason in text for gate in found.phase_gates)
