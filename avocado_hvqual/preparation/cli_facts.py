# SPDX-License-Identifier: GPL-2.0-or-later
"""`node facts` and `node compare`: what this node is made of, and whether it is like the others."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from avocado_hvqual import exit_codes
from avocado_hvqual.errors import PlanError
from avocado_hvqual.preparation import asking, expectations
from avocado_hvqual.preparation.likeness import gather, held, profile
from avocado_hvqual.preparation.likeness.compare import as_json
from avocado_hvqual.preparation.likeness.held import Held
from avocado_hvqual.preparation.likeness.profile import Profile
from avocado_hvqual.preparation.node import ThisNode

FACTS = """\
Write what this node is made of: kernel, firmware, microcode, CPU, NUMA, huge pages, network cards, kernel parameters, QEMU, libvirt,
pools and networks. The file is what `node compare` holds another node against. Nothing is touched.
"""
FACTS_EXAMPLES = """\
examples:
  avocado hvqual node facts --output node17.json
  ssh root@node17 avocado hvqual node facts > node17.json

exit status: 0 written (what could not be seen is in it, with the reason, and told on stderr), 2 wrong usage
"""
COMPARE = """\
Hold this node against existing ones of the cluster: by the profiles that `node facts` wrote there, and by the libvirt of its peer. Each
fact must be equal, may differ, must differ, or must be at least as much (--rules lists them). A difference that the description of the
node does not declare (identity: may_differ) is a defect. libvirt says, in both directions, whether guests can run on either.
"""
COMPARE_EXAMPLES = """\
examples:
  avocado hvqual node compare node17.json node18.json
  avocado hvqual node compare node17.json --peer qemu+ssh://root@node17/system

exit status: 0 alike, 2 wrong usage, 70 a difference that is not declared, 71 none, but something could not be seen
"""


def fill(verbs: Any) -> None:
    """Add both verbs."""
    shape = argparse.RawDescriptionHelpFormatter
    facts = verbs.add_parser(
        "facts",
        help="what this node is made of, as a file",
        description=FACTS,
        epilog=FACTS_EXAMPLES,
        formatter_class=shape,
    )
    facts.add_argument("--output", metavar="FILE", type=Path, help="write there instead of to stdout")
    asking.add_expect(facts)
    facts.set_defaults(node_run=run_facts)
    compare = verbs.add_parser(
        "compare",
        help="whether this node is like existing ones",
        description=COMPARE,
        epilog=COMPARE_EXAMPLES,
        formatter_class=shape,
    )
    compare.add_argument("profiles", metavar="PROFILE", nargs="*", type=Path, help="a file that `node facts` wrote")
    compare.add_argument("--peer", metavar="URI", default="", help="the libvirt of an existing node")
    compare.add_argument("--rules", action="store_true", help="list what must be equal and what may differ, and why")
    compare.add_argument("--json", action="store_true", help="write one JSON object")
    asking.add_expect(compare)
    compare.set_defaults(node_run=run_compare)


def this_profile(node: ThisNode) -> Profile:
    """Return the profile of the node that we run on."""
    return gather.profile(node, (node.read("/proc/sys/kernel/hostname") or "this node").strip(), int(time.time()))


def run_facts(args: argparse.Namespace) -> int:
    """Write the profile and return the exit status."""
    found = this_profile(ThisNode(expectations.load(args.expect)))
    if args.output is None:
        sys.stdout.write(found.text())
    else:
        _write(args.output, found.text())
    for name, why in found.unseen.items():
        asking.say(f"not seen: {name} ({why})", quiet=True)
    asking.say(f"{len(found.facts)} facts of {found.node}, {len(found.unseen)} not seen", quiet=True)
    return 0


def _write(path: Path, text: str) -> None:
    """Write a file that is never half there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        message = f"'{path}' cannot be written: {error.strerror}."
        raise PlanError(message) from error


def run_compare(args: argparse.Namespace) -> int:
    """Hold this node against the others and return the exit status."""
    if args.rules:
        for line in rules():
            asking.say(line)
        return 0
    others = [profile.load(path) for path in args.profiles]
    if not others and not args.peer:
        message = (
            "Nothing was named to compare with: give a file that `node facts` wrote on an existing node, or --peer URI."
        )
        raise PlanError(message)
    node = ThisNode(expectations.load(args.expect))
    found = held.against(node, this_profile(node), others, args.peer)
    if args.json:
        sys.stdout.write(json.dumps([as_json(it.comparison, it.cpus) for it in found], indent=1) + "\n")
    else:
        for line in (line for it in found for line in lines(it)):
            asking.say(line)
    if any(it.comparison.undeclared for it in found):
        return exit_codes.NODE_DEFECT
    return exit_codes.NODE_UNKNOWN if any(it.comparison.unseen for it in found) else exit_codes.ACCEPTED


def lines(it: Held) -> list[str]:
    """Return one comparison as lines for a terminal."""
    found = it.comparison
    told = [f"{found.here} against {found.there}: {found.held} facts compared"]
    told += [f"  {question}: {answer}" for question, answer in it.cpus.items()]
    for one in found.differences:
        told.append(f"  {'declared' if one.declared else 'DIFFERS '} {one.name}: here {one.here}; there {one.there}")
        told.append(f"           {one.rule}: {one.why}")
    told += [f"  UNKNOWN  {sentence}" for sentence in found.unseen]
    if not found.undeclared and not found.unseen:
        told.append("  alike in all that must be")
    return told


def rules() -> list[str]:
    """Return the table of facts as lines."""
    from avocado_hvqual.preparation.likeness.fields import FIELDS

    return [f"{row.names:24} {row.rule.value:26} {row.why}" for row in FIELDS]
