# SPDX-License-Identifier: GPL-2.0-or-later
"""How a campaign came to its end when it did not go straight through: resumed, run again, on which builds."""

from __future__ import annotations

from collections.abc import Iterator

from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.reports import words
from avocado_hvqual.wording import counted

VERBS = {"resume": "resumed after a break", "rerun": "run again"}


def lines(qualification: Qualification) -> Iterator[str]:
    """Yield a line for each time that the campaign went on, and for each build that it ran on; none when it had one of each."""
    for one in qualification.continued:
        yield f"Went on: {VERBS.get(one.verb, one.verb)} {words.moment(one.wall)} ({one.command})"
    if len(qualification.builds) < 2:  # noqa: PLR2004 - one build is no history
        return
    for number, build in enumerate(qualification.builds, 1):
        what = build.change or "the first one"
        yield f"Build {number} of {len(qualification.builds)}: {what}; {counted(build.tries, 'try', 'tries')} ended on it"
    stale = sum(bool(result.stale) for result in qualification.results)
    said = f"{counted(stale, 'result')} of an earlier build" if stale else "every result is of the last one"
    yield f"The verdict is about the last build; {said}"
