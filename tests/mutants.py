# SPDX-License-Identifier: GPL-2.0-or-later
"""
Mutants of the judge, the criteria, the severities, the ledger, the alarm and the filing of bugs: small wrong changes, each with the tests
that must notice it.

A mutant is one text of one file that stands there exactly once, and what stands there instead. `test_mutants.py` applies each to a copy
and runs the named tests on it; one that survives is a hole in the tests.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One wrong change: in which file of avocado_hvqual, what stands there, what instead, and the tests that must fail."""

    file: str
    old: str
    new: str
    tests: str


JUDGE, FINDINGS, LEDGER = "test_judge.py", "test_judge_findings.py", "test_ledger.py"
LAWS, LEDGER_LAWS = "properties/test_engine.py", "properties/test_ledger_laws.py"
CRITERIA, SEVERITY, LOGS = "criteria/test_criteria.py", "test_severity.py", "test_ledger_logs.py"
LOCKED, BREAKS, DRAFT = "test_locked_limits.py", "campaign/test_breaks.py", "trackers/test_draft.py"
FILE, ANSWERS, NOTES = "trackers/test_file.py", "trackers/test_file_answers.py", "trackers/test_notes.py"

MUTANTS = {
    # What is attempted.
    "error-is-attempted": Mutant(
        "model/finding.py", "        FindingKind.ERROR,\n        FindingKind.CANCELLED,\n", "        FindingKind.CANCELLED,\n", JUDGE),
    "cancel-is-attempted": Mutant(
        "judging/attempts.py", 'if said in {"CANCEL", "SKIP"}:\n        return "cancelled"',
        'if said in {"CANCEL", "SKIP"}:\n        return "pass"', JUDGE),
    "a-pass-owes-nothing": Mutant(
        "judging/attempts.py", '    if outcome == "pass":\n', '    if outcome == "passed":\n', f"{JUDGE} {LEDGER_LAWS}"),
    "status-is-believed": Mutant(
        "judging/attempts.py", 'return "fail" if "fail" in {own, said.lower()} else "pass"',
        'return "fail" if said == "FAIL" else "pass"', FINDINGS),
    "a-killed-pass-is-one": Mutant(
        "judging/attempts.py", "    if trace.status is None:\n        yield", "    if trace.status == '':\n        yield",
        f"{JUDGE} {LEDGER_LAWS}"),
    "the-node-is-not-compared": Mutant(
        "judging/attempts.py", "if trace.digest_before is None or trace.digest_after is None:",
        "if trace.digest_before is None and trace.digest_after is None:", f"{JUDGE} {LEDGER_LAWS}"),
    "damage-is-overlooked": Mutant(
        "judging/attempts.py", "    if attempt.damage:\n", "    if attempt.damage and not attempt.status:\n", f"{JUDGE} {FINDINGS}"),
    "a-later-pass-erases-a-failure": Mutant(
        "judging/cases.py", "superseded = place < last_whole and sighting.kind in NOT_ATTEMPTED",
        "superseded = place < last_whole and sighting.kind not in NOT_ATTEMPTED", f"{FINDINGS} {LEDGER_LAWS}"),
    "an-earlier-pass-hides-an-error": Mutant(
        "judging/cases.py", "return whole and not any(", "return whole or not any(", f"{FINDINGS} {JUDGE}"),
    "missing-rows-are-none": Mutant(
        "judging/campaign.py", "            if not found:\n", "            if not found and not any_type:\n", JUDGE),
    "strangers-are-welcome": Mutant(
        "judging/campaign.py", "if attempt.case in planned or (", "if attempt.case or (", JUDGE),
    "an-unfinished-campaign-is-whole": Mutant(
        "judging/campaign.py", 'if record.ended != "finished":', 'if record.ended == "interrupted":', JUDGE),
    "doubts-are-dropped": Mutant(
        "judging/campaign.py", "for case, reason in record.doubts:", "for case, reason in record.doubts[:0]:", f"{JUDGE} {FINDINGS}"),
    "a-weak-limit-will-do": Mutant(
        "judging/campaign.py", "strong = text is not None and Limit.parse(text).implies(floor.limit)",
        "strong = text is not None", JUDGE),
    "a-small-scale-will-do": Mutant(
        "judging/campaign.py", "if min(values) < floor.at_least:", "if max(values) < floor.at_least:", JUDGE),
    # The fold.
    "nothing-required-is-complete": Mutant(
        "model/verdict.py", "0 < required == attempted", "0 <= required == attempted", LEDGER_LAWS),
    "some-attempted-is-complete": Mutant(
        "model/verdict.py", "if 0 < required == attempted", "if 0 < attempted", LEDGER_LAWS),
    "the-best-finding-decides": Mutant(
        "model/verdict.py", "return max(verdicts, key", "return min(verdicts, key", f"{JUDGE} {LAWS}"),
    "a-minor-needs-no-target": Mutant(
        "model/verdict.py",
        'if finding.severity is not Severity.MINOR or finding.phase == "cloud" or not finding.fix_target:\n        return Verdict.NOT',
        'if finding.severity is not Severity.MINOR or finding.phase == "cloud":\n        return Verdict.NOT', LEDGER),
    "the-cloud-forgives-a-minor": Mutant(
        "model/verdict.py", 'if finding.severity is not Severity.MINOR or finding.phase == "cloud" or not',
        "if finding.severity is not Severity.MINOR or not", LEDGER),
    "a-waiver-is-invisible": Mutant(
        "model/verdict.py", "return Verdict.QUALIFIED_WITH_WAIVERS if leans else Verdict.QUALIFIED_WITH_MINOR",
        "return Verdict.QUALIFIED", f"{LEDGER} {LEDGER_LAWS}"),
    "a-downgrade-is-invisible": Mutant(
        "model/verdict.py", "return Verdict.QUALIFIED_WITH_WAIVERS if finding.is_downgraded else",
        "return Verdict.QUALIFIED_WITH_MINOR if finding.is_downgraded else", LEDGER),
    "a-part-run-qualifies": Mutant(
        "model/verdict.py", "    if selection:\n", "    if selection and amount not in QUALIFYING:\n", JUDGE),
    "a-lab-qualifies": Mutant("model/verdict.py", "if lab and amount in QUALIFYING", "if lab and False", JUDGE),
    # Gates.
    "an-override-is-free": Mutant(
        "judging/gates.py", "said = [overridden(gate) for gate in standing.phase_gates if gate.override]",
        "said = [overridden(gate) for gate in standing.phase_gates if gate.override and gate.passed]", f"{JUDGE} {LEDGER_LAWS}"),
    "a-closed-gate-is-free": Mutant(
        "judging/gates.py", "if last is not None and not last.passed:", "if last is not None and last.passed and last.override:", JUDGE),
    "minor-findings-need-no-target-at-the-gate": Mutant(
        "judging/gates.py", "is Severity.MINOR and not f.fix_target]", "is Severity.MINOR and f.fix_target]", "test_gates.py"),
    "nothing-seen-is-nothing-severe": Mutant(
        "judging/gates.py", "if severe or (0 < count.required == count.attempted and not unseen):", "if True:", "test_gates.py"),
    "not-attempted-is-severe": Mutant(
        "judging/gates.py", "finding.severity is not Severity.MINOR and finding.kind not in NOT_ATTEMPTED",
        "finding.severity is not Severity.MINOR", "test_gates.py"),
    # The limits with which cases ship.
    "a-limit-that-is-gone-is-as-strong": Mutant(
        "locked_limits.py", "        return asked is not None\n", "        return True\n", LOCKED),
    "any-limit-is-as-strong": Mutant(
        "locked_limits.py", "return Limit.parse(asked).implies(Limit.parse(shipped))", "return bool(Limit.parse(asked))", LOCKED),
    "a-row-locks-no-profile": Mutant(
        "locked_limits.py", "(row, at_profile(dict(row.limits), profile))", '(row, at_profile(dict(row.limits), "lab"))', LOCKED),
    "the-operator-s-copy-of-the-table-will-do": Mutant(
        "judging/campaign.py", "locked = Locked((*record.required, *policy.required),", "locked = Locked(record.required,", LOCKED),
    "a-lock-needs-no-limits": Mutant("required.py", 'fields["limits"].values()', 'fields.get("limits", {}).values()', LOCKED),
    # Criteria.
    "nothing-seen-is-met": Mutant("criteria/__init__.py", "    if doubt:\n", "    if doubt and samples:\n", CRITERIA),
    "another-unit-will-do": Mutant(
        "criteria/__init__.py", "units = sorted({sample.unit for sample in samples} - {limit.unit})",
        "units = sorted({sample.unit for sample in samples} - {limit.unit}) if samples[1:] else []", CRITERIA),
    "nan-is-a-number": Mutant(
        "criteria/__init__.py", "return value if math.isfinite(value) else None", "return value", CRITERIA),
    "the-fastest-is-judged": Mutant("criteria/extreme.py", '"the largest", max', '"the largest", min', CRITERIA),
    "one-of-all-is-enough": Mutant("criteria/every.py", "all(map(limit.holds, values))", "any(map(limit.holds, values))", CRITERIA),
    "a-percentile-below": Mutant("criteria/percentile.py", "percent / 100) - 1)", "percent / 100) - 2)", CRITERIA),
    "the-limit-is-strict": Mutant("limits.py", '"<=": operator.le', '"<=": operator.lt', CRITERIA),
    # Severity.
    "the-last-row-wins": Mutant(
        "severity.py", "next((rule for rule in self.rules if rule.matches(subject)), None)",
        "next((rule for rule in reversed(self.rules) if rule.matches(subject)), None)", SEVERITY),
    "a-component-is-not-asked": Mutant(
        "severity.py", "(not self.component or self.component in subject.components)", "True", SEVERITY),
    "dead-rows-are-kept": Mutant("severity.py", "if rule.id == UNCLASSIFIED or not dead:", "if True or not dead:", SEVERITY),
    "a-phase-alone-shadows": Mutant("severity.py", "for phase in rule.phases)", "for phase in rule.phases[:1])", SEVERITY),
    "contradictions-are-kept": Mutant(
        "severity.py", "and other.severity is not rule.severity", "and other.severity is rule.severity", SEVERITY),
    # The ledger.
    "a-case-is-a-signature": Mutant("ledger.py", "            and bool(self.message or self.pattern)\n", "", LEDGER),
    "a-message-is-searched": Mutant(
        "ledger.py", "normalise(self.message) == normalise(finding.message)",
        "normalise(self.message) in normalise(finding.message)", LEDGER),
    "a-log-is-not-asked": Mutant("ledger.py", "(not self.log or bool(self.shown_by(finding)))", "True", LOGS),
    "any-case-s-log-will-do": Mutant(
        "ledger.py", 'if self.found & {path, f"{path}#{finding.case}"}', "if any(one.startswith(path) for one in self.found)", LOGS),
    "changed-evidence-is-believed": Mutant(
        "log_search.py", 'if hashlib.sha256(data).hexdigest() != wanted["sha256"]:', "if not data:", LOGS),
    "a-waiver-lives-for-ever": Mutant("ledger.py", "if setting.today > entry.waiver_expires:", "if False:", f"{LEDGER} {LAWS}"),
    "a-waiver-ends-a-day-early": Mutant(
        "ledger.py", "if setting.today > entry.waiver_expires:", "if setting.today >= entry.waiver_expires:", LEDGER),
    "a-scope-is-not-asked": Mutant("ledger.py", "if not entry.scope.holds(setting.profile, setting.node):", "if False:", LEDGER),
    "everything-can-be-waived": Mutant(
        "ledger.py", "if finding.kind in UNWAIVABLE or finding.kind in NOT_ATTEMPTED:", "if False:", f"{LEDGER} {LEDGER_LAWS}"),
    "a-hang-can-be-made-minor": Mutant(
        "ledger.py", "if finding.kind in UNWAIVABLE and entry.severity.rank > finding.severity.rank:", "if False:", LEDGER),
    "fixed-is-still-waived": Mutant("ledger.py", "    if entry.state == FIXED:\n", "    if entry.state == OPEN and False:\n", LEDGER),
    "rejected-has-a-target": Mutant(
        "ledger.py", 'target = entry.fix_target if entry.state == OPEN else ""', "target = entry.fix_target", LEDGER),
    "stale-entries-are-silent": Mutant("ledger.py", "        if entry.id not in used\n", "        if entry.id in used\n", LEDGER),
    "the-notice-is-fixed": Mutant("ledger.py", "dt.timedelta(days=setting.notice_days)", "dt.timedelta(days=NOTICE_DAYS)", LEDGER),
    # What is told at once.
    "a-reboot-that-resume-finds-is-not-told": Mutant(
        "campaign/breaks.py", "if one.line > since and _is_news(one, lines)", "if one.line > since and False", BREAKS),
    "a-boot-after-the-end-is-told": Mutant(
        "retelling.py", "if self.ended in OVER:", 'if self.ended == "stop":', BREAKS),
    "a-boot-after-the-end-is-no-finding-whoever-ended-it": Mutant("retelling.py", "if self.ended in OVER:", "if self.ended:", BREAKS),
    "what-was-told-is-told-again": Mutant("campaign/alarm.py", "self._criticals.knows(news.told)", "self._criticals.knows(())", BREAKS),
    "what-the-test-saw-is-forgotten": Mutant("campaign/alarm.py", "if news.attempt is not None:", "if news.attempt is None:", BREAKS),
    # Bugs are filed once.
    "a-filing-in-doubt-is-sent-again": Mutant(
        "trackers/filing.py", "return begun is not None and abs(self.now() - begun) < self.settle", "return False",
        "trackers/test_file_killed.py"),
    "a-clock-that-was-set-back-waits-for-ever": Mutant(
        "trackers/filing.py", "abs(self.now() - begun) < self.settle", "self.now() - begun < self.settle", NOTES),
    "the-note-comes-after-the-filing": Mutant(
        "trackers/filing.py", "        note.begun = self.now()\n        self.notes.write(note)\n", "        note.begun = self.now()\n",
        NOTES),
    "a-refusal-leaves-a-doubt": Mutant(
        "trackers/filing.py", "            note.begun = None\n            self.notes.write(note)\n", "            self.notes.write(note)\n",
        ANSWERS),
    "what-a-guest-says-is-a-sighting": Mutant(
        "trackers/server.py", 'any(line in str(comment["text"]).splitlines()', 'any(line in str(comment["text"])', FILE),
    "a-duplicate-is-not-followed": Mutant("trackers/server.py", 'if not bug.get("dupe_of"):', "if True:", ANSWERS),
    "the-latest-report-is-meant": Mutant("trackers/server.py", "numbers[min(numbers)]", "numbers[max(numbers)]", ANSWERS),
    "any-answer-to-a-search-is-believed": Mutant("trackers/server.py", "if not _carries(bug, fingerprint):", "if False:", ANSWERS),
    "the-key-goes-over-an-open-line": Mutant(
        "trackers/server.py", "parts.hostname not in _LOCAL and not settings.plain_http", "False", "trackers/test_file_usage.py"),
    "a-key-is-known-by-one-form": Mutant("trackers/key.py", "            quote(value),\n", "", "trackers/test_key.py"),
    "a-note-is-nobody-s-alone": Mutant(
        "trackers/notes.py", "except BlockingIOError:\n        return False", "except BlockingIOError:\n        return True", NOTES),
    "any-note-is-believed": Mutant(
        "trackers/notes.py", "if (note.server, note.fingerprint) != (self.server, fingerprint):", "if False:", NOTES),
    "what-was-not-attempted-is-a-bug": Mutant(
        "trackers/draft.py", "return finding.is_open and finding.kind not in NOT_ATTEMPTED", "return finding.is_open", DRAFT),
    "a-guest-s-text-may-act": Mutant("trackers/report.py", "words.safe(text)).strip()", "str(text)).strip()", DRAFT),
    "what-lies-outside-is-read": Mutant(
        "trackers/sums.py", "if not file.resolve().is_relative_to(folder.resolve()):", "if False:", "trackers/test_sums.py"),
}  # fmt: skip
"""By name."""
