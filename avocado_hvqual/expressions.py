# SPDX-License-Identifier: GPL-2.0-or-later
"""Regular expressions of policies and ledgers: tried when they are read, and refused when a text could keep them busy for ever."""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

from avocado_hvqual.errors import DefinitionError

_PARSER: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT"})


def checked(expression: str, where: str) -> str:
    """
    Return the expression; DefinitionError beginning with *where* when it is none, or repeats what repeats without end.

    ``(a+)+`` needs time that doubles with each character of a text that almost fits, and the texts come from guests.
    """
    try:
        re.compile(expression)
        nested = _nested(_PARSER.parse(expression), within=False)
    except (re.error, RecursionError, OverflowError) as error:
        message = f"{where}: '{expression}' is not a regular expression: {error}."
        raise DefinitionError(message) from error
    if nested:
        why = "repeats without end what repeats without end, as (a+)+ does: a guest's text could keep it busy for ever"
        message = f"{where}: '{expression}' {why}. Write it with one repetition."
        raise DefinitionError(message)
    return expression


def _nested(parsed: Any, *, within: bool) -> bool:
    """Return whether an endless repetition stands within another one."""
    for operation, argument in parsed:
        endless = str(operation) in _REPEATS and argument[1] == _PARSER.MAXREPEAT
        if endless and within:
            return True
        if any(_nested(inner, within=within or endless) for inner in _inner(argument)):
            return True
    return False


def _inner(argument: Any) -> list[Any]:
    """Return the sub-expressions that stand in an operation's argument, however deep its tuples and lists go."""
    if isinstance(argument, _PARSER.SubPattern):
        return [argument]
    if isinstance(argument, (tuple, list)):
        return [found for part in argument for found in _inner(part)]
    return []
