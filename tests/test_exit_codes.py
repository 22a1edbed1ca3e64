# SPDX-License-Identifier: GPL-2.0-or-later
"""Decision 6: 0 only for an accepted verdict, each other verdict a code of its own, none a combination of avocado's bits."""

from dataclasses import replace

import pytest

from avocado_hvqual import exit_codes
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.model.verdict import Verdict
from tests.strategies import judged

V = Verdict
EACH = [
    (V.QUALIFIED, V.QUALIFIED, True, 40),
    (V.QUALIFIED_WITH_MINOR, V.QUALIFIED_WITH_MINOR, False, 41),
    (V.QUALIFIED_WITH_WAIVERS, V.QUALIFIED_WITH_WAIVERS, True, 42),
    (V.LAB_QUALIFIED, V.QUALIFIED, True, 43),
    (V.LAB_QUALIFIED, V.QUALIFIED_WITH_WAIVERS, True, 44),
    (V.LAB_QUALIFIED, V.QUALIFIED_WITH_MINOR, False, 44),
    (V.SELECTION, V.QUALIFIED, True, 45),
    (V.SELECTION, V.NOT_QUALIFIED, False, 46),
    (V.SELECTION, V.INCOMPLETE, False, 47),
    (V.NOT_QUALIFIED, V.NOT_QUALIFIED, False, 48),
    (V.INCOMPLETE, V.INCOMPLETE, False, 49),
]


def made(verdict, basis, clean):
    return replace(judged(), verdict=verdict, basis=basis, clean=clean)


@pytest.mark.parametrize(("verdict", "basis", "clean", "code"), EACH)
def test_the_table(verdict, basis, clean, code):
    assert exit_codes.of(made(verdict, basis, clean)) == code


def test_every_verdict_is_in_the_table_and_no_code_is_avocados():
    assert {verdict for verdict, *_ in EACH} == set(Verdict)
    codes = {code for *_, code in EACH} | {exit_codes.REQUIREMENT, exit_codes.PLAIN_RUN}
    assert not codes & set(range(16))
    assert all(f"\n{code} " in exit_codes.__doc__ for code in codes)


@pytest.mark.parametrize(("verdict", "basis", "clean", "code"), EACH)
def test_by_default_only_qualified_is_0(verdict, basis, clean, code):
    assert exit_codes.status(made(verdict, basis, clean)) == (0 if verdict is V.QUALIFIED else code)


@pytest.mark.parametrize(
    ("accept", "verdict", "basis", "clean", "status"),
    [
        (["SELECTION"], V.SELECTION, V.QUALIFIED, True, 0),
        (["SELECTION"], V.SELECTION, V.NOT_QUALIFIED, False, 46),
        (["SELECTION"], V.SELECTION, V.INCOMPLETE, False, 47),
        (["SELECTION"], V.QUALIFIED, V.QUALIFIED, True, 40),
        (["LAB_QUALIFIED"], V.LAB_QUALIFIED, V.QUALIFIED, True, 0),
        (["LAB_QUALIFIED"], V.LAB_QUALIFIED, V.QUALIFIED_WITH_WAIVERS, True, 44),
        (["LAB_QUALIFIED,QUALIFIED_WITH_WAIVERS"], V.LAB_QUALIFIED, V.QUALIFIED_WITH_WAIVERS, True, 0),
        (["QUALIFIED", "QUALIFIED_WITH_MINOR"], V.QUALIFIED_WITH_MINOR, V.QUALIFIED_WITH_MINOR, False, 0),
    ],
)
def test_accept(accept, verdict, basis, clean, status):
    assert exit_codes.status(made(verdict, basis, clean), accept) == status


@pytest.mark.parametrize("words", [[], [""], ["INCOMPLETE"], ["NOT_QUALIFIED"], ["qualified"], ["QUALIFIED,x"]])
def test_what_cannot_be_accepted_is_refused(words):
    with pytest.raises(DefinitionError, match="--accept takes"):
        exit_codes.parse_accept(words)


@pytest.mark.parametrize(("verdict", "basis", "clean", "_code"), EACH)
def test_a_plain_run_adds_nothing_to_a_clean_selection_alone(verdict, basis, clean, _code):
    assert (exit_codes.plain_run(made(verdict, basis, clean)) == 0) is (verdict is V.SELECTION and clean)
