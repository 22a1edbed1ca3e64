# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree of use cases: by category, a row for each id, a column for each host configuration; twins stand below their id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, Optional

from avocado_hvqual.model.case import HOST_CONFIGURATIONS, CaseKey
from avocado_hvqual.model.qualification import CaseResult, Qualification

WARM = "warm_guests"
COLUMNS = {"none": "once"}
"""What a host configuration is called above its column, where that is not its name."""
OPEN_ROWS = 40
"""A tree of no more rows is shown open; a larger one only where something did not pass."""


class Cell(NamedTuple):
    """One case."""

    case: str
    outcome: str
    findings: int = 0
    start: str = ""
    """``cold``, or how many of its guests were warm; empty when it did not say."""


class Row(NamedTuple):
    """One use case, or what it has besides: another backend, an axis of its own."""

    id: str
    variant: str
    cells: tuple[Optional[Cell], ...]


class Category(NamedTuple):
    """The use cases of one category, and how many of its cases came to what."""

    name: str
    rows: tuple[Row, ...]
    outcomes: tuple[tuple[str, int], ...]
    is_open: bool


class Tree(NamedTuple):
    """The whole: the names of the columns in use, and the categories in the order of the plan."""

    columns: tuple[str, ...]
    categories: tuple[Category, ...]


def warm_guests(result: CaseResult) -> Optional[int]:
    """Return how many guests of the last try were restored from a save file; None when it did not say."""
    said = [
        int(sample.value)
        for sample in (result.latest.by_name.get(WARM, ()) if result.latest else ())
        if isinstance(sample.value, (int, float))
    ]
    return sum(said) if said else None


def start_of(result: CaseResult) -> str:
    """Return ``cold`` or ``2 warm``; empty when the case did not say."""
    warm = warm_guests(result)
    if warm is None:
        return ""
    return f"{warm} warm" if warm else "cold"


def tree(qualification: Qualification) -> Tree:
    """Return the tree, with a cell for each required case that the campaign does not even have."""
    findings = Counter(finding.case for finding in qualification.findings if finding.is_open)
    cells: dict[CaseKey, Cell] = {}
    for result in qualification.results:
        found = findings[result.case]
        outcome = "passed with findings" if found and result.outcome == "passed" else result.outcome
        cells[CaseKey.parse(result.case)] = Cell(result.case, outcome, found, start_of(result))
    for key in _missing(qualification):
        cells.setdefault(key, Cell(str(key), "missing", findings[str(key)]))
    places = [place for place in HOST_CONFIGURATIONS if any(key.configuration == place for key in cells)]
    by_category: dict[str, list[CaseKey]] = {}
    for key in cells:
        by_category.setdefault(key.hv_id.split(".")[1], []).append(key)
    few = len(cells) <= OPEN_ROWS
    categories = [_category(name, keys, cells, places, few=few) for name, keys in by_category.items()]
    return Tree(tuple(COLUMNS.get(place, place) for place in places), tuple(categories))


def _missing(qualification: Qualification) -> Iterator[CaseKey]:
    have = {result.case for result in qualification.results}
    for gap in qualification.not_covered:
        if gap.what not in have and not gap.what.startswith("component "):
            try:
                yield CaseKey.parse(gap.what)
            except ValueError:
                continue


def _category(name: str, keys: list[CaseKey], cells: dict[CaseKey, Cell], places: list[str], *, few: bool) -> Category:
    rows: dict[tuple[str, str], dict[str, Cell]] = {}
    order = {hv_id: place for place, hv_id in enumerate(dict.fromkeys(key.hv_id for key in keys))}
    for key in sorted(keys, key=lambda key: (order[key.hv_id], variant_of(key))):
        rows.setdefault((key.hv_id, variant_of(key)), {})[key.configuration] = cells[key]
    counted = Counter(cells[key].outcome for key in keys)
    made = tuple(
        Row(hv_id, variant, tuple(found.get(place) for place in places)) for (hv_id, variant), found in rows.items()
    )
    return Category(name, made, tuple(counted.items()), few or set(counted) != {"passed"})


def variant_of(key: CaseKey) -> str:
    """Return in words what sets a case apart from the use case's own row; empty for that one."""
    said = ["below libvirt (qemu)"] if key.vt_type == "qemu" else []
    return ", ".join([*said, *key.axes])
