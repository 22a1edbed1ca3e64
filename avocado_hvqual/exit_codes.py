# SPDX-License-Identifier: GPL-2.0-or-later
"""
Exit statuses of `avocado hvqual run` and `verdict`: 0 only for an accepted verdict (decision 6).

None equals a combination of avocado's bits 1, 2, 4 and 8; 2 (usage, definitions) and 8 (interrupted) mean what they mean there.

====  ====================================================================================================================
0     the verdict is among those accepted: ``--accept``, by default QUALIFIED for `verdict` and the profile's own for `run`
2     wrong usage, or a policy, ledger or folder that cannot be read
8     interrupted
16    bit that a plain ``avocado run`` ends with when avocado calls the job passed and the judge does not; also when judging broke
40    QUALIFIED (not accepted: ``--accept`` did not name it)
41    QUALIFIED_WITH_MINOR
42    QUALIFIED_WITH_WAIVERS
43    LAB_QUALIFIED, nothing open and no waiver used
44    LAB_QUALIFIED that stands on minor findings or waivers
45    SELECTION, clean: everything selected was attempted and nothing is open
46    SELECTION with findings that are open, everything attempted
47    SELECTION of which not everything was attempted
48    NOT_QUALIFIED
49    INCOMPLETE
50    ``verdict --require``: another verdict, another node or too old
60    ``bugs file``: the tracker refused a report, or could not be reached; what was filed stays filed, the command can be repeated
61    ``bugs file``: nobody knows whether the tracker took a report (no answer came); it is asked again before anything is sent again
70    ``node``, ``image check``: something is not as expected, or differs from another node
71    ``node``, ``image check``: nothing found is wrong, and something could not be seen
72    ``node restore``: the node is not what it was before it was prepared; what stays is told
====  ====================================================================================================================

`--accept SELECTION` accepts a clean one only, and `--accept LAB_QUALIFIED` one with nothing open and no waiver; what stands on minor
findings or waivers needs these verdicts in the list as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.model.verdict import Verdict

ACCEPTED = 0
USAGE = 2
INTERRUPTED = 8
PLAIN_RUN = 16
REQUIREMENT = 50
TRACKER, TRACKER_UNKNOWN = 60, 61
NODE_DEFECT, NODE_UNKNOWN, NODE_LEFT = 70, 71, 72

_CODES = {
    Verdict.QUALIFIED: 40,
    Verdict.QUALIFIED_WITH_MINOR: 41,
    Verdict.QUALIFIED_WITH_WAIVERS: 42,
    Verdict.NOT_QUALIFIED: 48,
    Verdict.INCOMPLETE: 49,
}
_LAB_CLEAN, _LAB_LEANING = 43, 44
_SELECTION_CLEAN, _SELECTION_OPEN, _SELECTION_PART = 45, 46, 47

ACCEPTABLE = (
    Verdict.QUALIFIED,
    Verdict.QUALIFIED_WITH_MINOR,
    Verdict.QUALIFIED_WITH_WAIVERS,
    Verdict.LAB_QUALIFIED,
    Verdict.SELECTION,
)


def parse_accept(words: Iterable[str]) -> frozenset[Verdict]:
    """Return the verdicts that `--accept` names; what cannot be accepted is a DefinitionError."""
    names = {verdict.value: verdict for verdict in ACCEPTABLE}
    accepted = [word for text in words for word in text.replace(",", " ").split()]
    wrong = [word for word in accepted if word not in names]
    if wrong or not accepted:
        message = f"--accept takes {', '.join(names)}; it was given '{', '.join(wrong)}'."
        raise DefinitionError(message)
    return frozenset(names[word] for word in accepted)


def of(qualification: Qualification) -> int:
    """Return the code of what was found, whether or not somebody accepts it."""
    if qualification.verdict is Verdict.LAB_QUALIFIED:
        return _LAB_CLEAN if qualification.basis is Verdict.QUALIFIED else _LAB_LEANING
    if qualification.verdict is Verdict.SELECTION:
        if qualification.clean:
            return _SELECTION_CLEAN
        return _SELECTION_PART if qualification.basis is Verdict.INCOMPLETE else _SELECTION_OPEN
    return _CODES[qualification.verdict]


def status(qualification: Qualification, accept: Sequence[str] = (Verdict.QUALIFIED.value,)) -> int:
    """Return 0 when the verdict is accepted, else its code."""
    accepted, verdict = parse_accept(accept), qualification.verdict
    if verdict not in accepted:
        return of(qualification)
    if verdict is Verdict.SELECTION:
        return ACCEPTED if qualification.clean else of(qualification)
    leans = verdict is Verdict.LAB_QUALIFIED and qualification.basis is not Verdict.QUALIFIED
    return of(qualification) if leans and qualification.basis not in accepted else ACCEPTED


def plain_run(qualification: Qualification) -> int:
    """Return what a plain ``avocado run`` adds to avocado's own 0: nothing for a clean selection."""
    return ACCEPTED if qualification.verdict is Verdict.SELECTION and qualification.clean else PLAIN_RUN
