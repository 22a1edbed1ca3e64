# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that ask one case again as this campaign asked it: its profile, its changed parameters, its seed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from avocado_hvqual.model.qualification import CaseResult, Qualification

# The framework's name of a test: its type of test, the provider, then the variants, by which a filter selects it.
_NAME = re.compile(r"-type_specific\.[\w-]+\.(hvqual\.[\w.-]+)\Z")
SEED = "hv_seed"


def commands(qualification: Qualification, result: CaseResult) -> list[str]:
    """Return the ways to repeat a case, ours first, then the framework's own; each fit to be pasted into a shell."""
    header = qualification.header
    asked = result.latest.profile if result.latest else header.profile
    own = ["avocado", "hvqual", "run", "--profile", asked, "--only", result.case]
    if "--lab" in header.command.split():
        own.append("--lab")
    changes = list(_changes(qualification, result))
    for change in changes:
        own += ["--param", change]
    found = [shlex.join(own)]
    name = _NAME.search(result.logdir)
    if name:
        plain = ["avocado", "run", "--vt-type", result.case.partition(":")[0], "--vt-only-filter", name.group(1)]
        for change in (f"hv_profile={asked}", *changes):
            plain += ["--vt-extra-params", change]
        found.append(shlex.join([*plain, "--", "hvqual"]))
    return found


def _changes(qualification: Qualification, result: CaseResult) -> Iterator[str]:
    changed = {change.name: change.value for change in qualification.parameters if change.case in {"", result.case}}
    if result.latest and result.latest.seeds:
        changed[SEED] = result.latest.seeds[-1].seed
    for name, value in changed.items():
        yield f"{name}={value}"
