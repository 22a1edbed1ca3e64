# SPDX-License-Identifier: GPL-2.0-or-later
"""Expressions that a guest's text could keep busy for ever are refused before they meet one."""

import pytest

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.expressions import checked


@pytest.mark.parametrize(
    "text", ["a+", "a*b+c{2,}", "(ab)+", "(a{1,3})+", "(a+){2}", "^x.*y.*$", r"\d+ of \d+", "(?i)a|b*", "(?=a+)b"]
)
def test_what_comes_to_an_end_is_taken(text):
    assert checked(text, "f:1") == text


@pytest.mark.parametrize(
    "text", ["(a+)+", "(a*)*b", "(?:x|a+)+", "((a)+b?)*", "(a{2,})+", "(?P<n>a+?)*?", "(?:(?=a+)a)+", "(x(y|z+))*"]
)
def test_what_repeats_a_repetition_is_refused(text):
    with pytest.raises(DefinitionError, match=r"^f:1: .* repeats without end"):
        checked(text, "f:1")


@pytest.mark.parametrize("text", ["(", "[", "*", "a{2,1}", "(?P<x>a)(?P<x>b)", "(" * 5000 + ")" * 5000])
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(DefinitionError, match=r"^f:1: "):
        checked(text, "f:1")
