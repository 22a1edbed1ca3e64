# SPDX-License-Identifier: GPL-2.0-or-later
"""`avocado hvqual diff DIR1 DIR2`: what changed from one campaign to another, as text or as JSON (`schemas/diff.json`)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from avocado_hvqual import load
from avocado_hvqual.comparison import Comparison, Fault, Pace, Side, compare
from avocado_hvqual.folder_judging import judge_folder
from avocado_hvqual.policy_model import Slower
from avocado_hvqual.reports import words
from avocado_hvqual.reports.cli import add_judging
from avocado_hvqual.reports.words import safe
from avocado_hvqual.wording import counted

WORSE = 1
FORMAT = 1


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "diff", help="what is new, fixed, still open, newly attempted or slower; ends with 1 when anything is worse"
    )
    parser.add_argument(
        "before", type=Path, metavar="DIR1", help="the folder of the earlier campaign, or of another node's"
    )
    parser.add_argument("after", type=Path, metavar="DIR2", help="the folder of the later one")
    add_judging(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument(
        "--ratio", type=_ratio, metavar="N", help="slower is a median N times the other (default: the policy's)"
    )
    parser.add_argument(
        "--samples", type=_samples, metavar="N", help="over so many samples on each side (default: the policy's)"
    )


def _ratio(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 < value < float("inf"):
        message = f"'{text}' is no ratio above 1, as 1.25"
        raise argparse.ArgumentTypeError(message)
    return value


def _samples(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 < int(text[:9]) < 10**9:
        message = f"'{text}' is no number of samples from 2 on"
        raise argparse.ArgumentTypeError(message)
    return int(text[:9])


def run(args: argparse.Namespace) -> int:
    """Compare and tell; return 0, or 1 when anything is worse."""
    by = load.load_policy(args.policy).slower
    by = replace(by, ratio=args.ratio or by.ratio, samples=args.samples or by.samples)
    before, after = (judge_folder(path, args.policy, args.ledger, args.today) for path in (args.before, args.after))
    found = compare(before, after, by)
    text = render_json(found) if args.json else render(found)
    sys.stdout.write(text.encode(sys.stdout.encoding or "utf-8", "replace").decode(sys.stdout.encoding or "utf-8"))
    return WORSE if found.is_worse else 0


def render(found: Comparison) -> str:
    """Return the comparison as text."""
    return "".join(f"{line}\n" for line in _lines(found))


def _lines(found: Comparison) -> Iterator[str]:
    yield _said("Before", found.before)
    yield _said("After", found.after)
    yield from _builds(found.before, found.after)
    yield from _faults("New", found.new)
    yield from _faults("Still there", found.still)
    yield from _faults("Not seen again, but not proven fixed", found.not_seen)
    yield from _faults("Fixed", found.fixed)
    yield from _list("Newly attempted", found.newly_attempted)
    yield from _list("No longer attempted", found.no_longer_attempted)
    yield from _list("Slower", map(_pace, found.slower))
    yield from _list("Faster", map(_pace, found.faster))
    yield ""
    sides = counted(found.by.samples, "sample")
    yield f"{counted(found.paced, 'observation')} had {sides} on each side; slower is {found.by.ratio:g} times."
    yield "Something is worse than it was." if found.is_worse else "Nothing is worse than it was."


def _said(word: str, side: Side) -> str:
    return safe(f"{word}: campaign {side.campaign} on {side.node}, profile {side.profile}: {side.verdict}")


def _builds(before: Side, after: Side) -> Iterator[str]:
    for name in sorted({*before.builds, *after.builds}):
        was, has = before.builds.get(name, "unknown"), after.builds.get(name, "unknown")
        if was != has:
            yield safe(f"{name}: {was} -> {has}")


def _list(title: str, items: Iterable[str]) -> Iterator[str]:
    told = [f"  - {safe(item)}" for item in items]
    if told:
        yield from ("", f"{title}: {len(told)}", *told)


def _faults(title: str, faults: tuple[Fault, ...]) -> Iterator[str]:
    if faults:
        yield from ("", f"{title}: {len(faults)}")
    for fault in faults:
        waived = ", waived" if fault.waived else ""
        yield safe(
            f"[{words.SEVERITIES[fault.severity].symbol}] {fault.severity.value} {fault.kind} {fault.fingerprint}{waived}"
        )
        yield f"      {safe(fault.message)}"
        for word, cases in (("before", fault.before), ("after", fault.after), ("not attempted again", fault.unproven)):
            if cases:
                yield f"      {word}: {safe(', '.join(case or 'campaign' for case in cases))}"


def _pace(pace: Pace) -> str:
    label = f" ({pace.label})" if pace.label else ""
    medians = f"median {pace.before:.4g} -> {pace.after:.4g} {pace.unit}, {pace.ratio:.2f} times"
    return f"{pace.case} {pace.observation}{label}: {medians} ({pace.samples_before} and {counted(pace.samples_after, 'sample')})"


def render_json(found: Comparison) -> str:
    """Return the comparison for programs: the same bytes for the same input, ASCII."""
    whole = {
        "format": FORMAT,
        "worse": found.is_worse,
        "before": found.before._asdict(),
        "after": found.after._asdict(),
        **{name: [_fault(one) for one in getattr(found, name)] for name in ("new", "fixed", "not_seen", "still")},
        "newly_attempted": list(found.newly_attempted),
        "no_longer_attempted": list(found.no_longer_attempted),
        "slower": [one._asdict() for one in found.slower],
        "faster": [one._asdict() for one in found.faster],
        "by": _by(found.by),
        "paced": found.paced,
    }
    return json.dumps(whole, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _fault(fault: Fault) -> dict[str, Any]:
    lists = {name: list(getattr(fault, name)) for name in ("before", "after", "unproven")}
    return {**vars(fault), **lists, "severity": fault.severity.value}


def _by(by: Slower) -> dict[str, float]:
    return {"ratio": by.ratio, "samples": by.samples}
