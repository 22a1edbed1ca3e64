# SPDX-License-Identifier: GPL-2.0-or-later
"""The one table of words, symbols and colours: every report says the same thing in the same way."""

from __future__ import annotations

import datetime as dt
import re
from typing import NamedTuple

from avocado_hvqual.model.answer import Answer
from avocado_hvqual.model.finding import NOT_ATTEMPTED, Finding, Severity
from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.model.verdict import Verdict


class Word(NamedTuple):
    """How a value is shown: its word, an ASCII symbol, and a tone (the CSS class; STYLES has the terminal's colour)."""

    word: str
    symbol: str
    tone: str


VERDICTS: dict[Verdict, Word] = {
    Verdict.QUALIFIED: Word("QUALIFIED", "+", "good"),
    Verdict.QUALIFIED_WITH_MINOR: Word("QUALIFIED WITH MINOR", "+", "fair"),
    Verdict.QUALIFIED_WITH_WAIVERS: Word("QUALIFIED WITH WAIVERS", "!", "warn"),
    Verdict.LAB_QUALIFIED: Word("LAB QUALIFIED", "~", "fair"),
    Verdict.SELECTION: Word("SELECTION", "~", "note"),
    Verdict.NOT_QUALIFIED: Word("NOT QUALIFIED", "X", "bad"),
    Verdict.INCOMPLETE: Word("INCOMPLETE", "?", "warn"),
}

MEANINGS: dict[Verdict, str] = {
    Verdict.QUALIFIED: "Yes. Everything that is required was attempted, and nothing is open.",
    Verdict.QUALIFIED_WITH_MINOR: "Yes. Everything was attempted; what is open is minor, and each has a fix target.",
    Verdict.QUALIFIED_WITH_WAIVERS: "Only on the word of those who signed the waivers or changed severities below.",
    Verdict.LAB_QUALIFIED: "Not decided: everything passed at lab scale, which says nothing of this hardware.",
    Verdict.SELECTION: "Not decided: this was a part run, which never qualifies a node.",
    Verdict.NOT_QUALIFIED: "No. What is open must be mended first.",
    Verdict.INCOMPLETE: "Not yet. Not everything that is required was attempted, so nobody can know.",
}

SEVERITIES: dict[Severity, Word] = {
    Severity.CRITICAL: Word("critical", "X", "bad"),
    Severity.MAJOR: Word("major", "!", "warn"),
    Severity.MINOR: Word("minor", "-", "note"),
}

ANSWERS: dict[Answer, Word] = {
    Answer.MET: Word("met", "+", "good"),
    Answer.UNMET: Word("unmet", "X", "bad"),
    Answer.UNKNOWN: Word("unknown", "?", "warn"),
}

OUTCOMES: dict[str, Word] = {
    "passed": Word("passed", "+", "good"),
    "failed": Word("failed", "X", "bad"),
    "not attempted": Word("not attempted", "?", "warn"),
    "not required": Word("not required", "~", "note"),
    "missing": Word("missing", "?", "warn"),
    # What befell the node meanwhile fails no case, and is nevertheless not the same as nothing.
    "passed with findings": Word("passed with findings", "!", "warn"),
}

GLYPHS = {"+": "\u2713", "X": "\u2717", "!": "!", "?": "?", "~": "\u2013", "-": "\u00b7"}
"""The symbols as a page shows them."""

STYLES = {"good": "bold green", "fair": "green", "warn": "yellow", "bad": "bold red", "note": "cyan", "": ""}

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# Control characters, and what turns, hides or joins text: a guest's name must not change how the rest of the line reads.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


LONGEST = 2000
"""Characters of one text in a report: a guest's megabyte without a line's end is evidence, and no sentence."""


def safe(text: object) -> str:
    r"""
    Return *text* on one line without escape sequences, control characters and invisible or turning characters.

    What is longer than LONGEST is cut, and says so; verdict.json and the evidence have it whole.

    >>> safe("\x1b[31mred\x1b[0m\nnext\u202e")
    'red next '
    """
    whole = str(text)
    if len(whole) <= LONGEST and whole.isascii() and whole.isprintable():
        return whole
    more = len(whole) - LONGEST
    cut = whole if more <= 0 else f"{whole[:LONGEST]} [and {more} characters more]"
    return _HIDDEN.sub(" ", _ANSI.sub("", cut))


def question(qualification: Qualification) -> str:
    """Return the answer to "may the node join?"."""
    said = MEANINGS[qualification.verdict]
    if qualification.verdict is Verdict.INCOMPLETE and any(_blocks(finding) for finding in qualification.findings):
        return "No. What is open must be mended first, and not everything that is required was attempted."
    if qualification.verdict is Verdict.SELECTION:
        state = "What was selected is clean." if qualification.clean else "What was selected is not clean."
        return f"{said} {state}"
    if qualification.verdict is Verdict.LAB_QUALIFIED and qualification.basis is not Verdict.QUALIFIED:
        return f"Not decided: this was a lab profile, and it came to {VERDICTS[qualification.basis].word} only."
    return said


def _blocks(finding: Finding) -> bool:
    """Whether the finding would keep the node out if everything had been attempted."""
    return finding.is_open and finding.severity is not Severity.MINOR and finding.kind not in NOT_ATTEMPTED


def tone(qualification: Qualification) -> str:
    """Return the tone of the verdict; a selection that is not clean does not look like one that is."""
    if qualification.verdict is Verdict.SELECTION:
        return "fair" if qualification.clean else "bad"
    return VERDICTS[qualification.verdict].tone


def builds(qualification: Qualification) -> str:
    """Return the builds that the verdict is about: the last ones of the campaign."""
    last = qualification.builds[-1].versions if qualification.builds else qualification.header.versions
    return ", ".join(f"{name} {version}" for name, version in sorted(last.items()))


def moment(wall: float) -> str:
    """Return seconds since the epoch as a time in UTC."""
    return dt.datetime.fromtimestamp(wall, tz=dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC") if wall else "unknown"
