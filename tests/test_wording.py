# SPDX-License-Identifier: GPL-2.0-or-later
"""One finding is, two findings are; and no text of a report says otherwise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from avocado_hvqual.wording import agreeing, counted, share

GOLDEN = Path(__file__).parent / "golden"
WRONG = re.compile(
    r"(?<![\d.:/-])1 (?!passed)(?:[a-z-]+ (?:or [a-z]+ )?){0,3}"
    r"(?:cases|findings|samples|tries|reports|results|files|observations|bars|marks)\b"
    r"|\bof 1 (?:[a-z-]+ ){0,4}(?:cases|samples|tries)\b"
    r"|\b(?:0|[2-9]|\d\d+) (?:[a-z-]+ ){0,2}(?:case|finding|sample|try|result|file)\b(?! of)"
)


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 findings are"), (1, "1 finding is"), (2, "2 findings are"), (21, "21 findings are")]
)
def test_noun_and_verb_go_by_the_number(number, said):
    assert f"{counted(number, 'finding')} {agreeing(number, 'is', 'are')}" == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 1, "0 of 1 try was"),
        (1, 1, "1 of 1 try was"),
        (1, 3, "1 of 3 tries was"),
        (0, 3, "0 of 3 tries were"),
        (2, 3, "2 of 3 tries were"),
    ],
)
def test_a_part_goes_by_itself_and_its_noun_by_the_whole(part, whole, said):
    assert f"{share(part, whole, 'try', 'tries')} {agreeing(part, 'was', 'were', of=whole)}" == said


@pytest.mark.parametrize(
    "path", sorted(filter(Path.is_file, GOLDEN.rglob("*"))), ids=lambda path: str(path.relative_to(GOLDEN))
)
def test_no_golden_report_counts_wrongly(path):
    assert [found.group() for found in WRONG.finditer(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "text", ["1 minor findings are", "0 of 1 required cases", "1 critical or major findings", "2 finding", "1 samples"]
)
def test_the_check_would_notice(text):
    assert WRONG.search(text)
