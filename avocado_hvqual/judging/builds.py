# SPDX-License-Identifier: GPL-2.0-or-later
"""
What results are worth when a campaign went on with another kernel, QEMU or libvirt (the requirement's section 6.3: fix, patch, re-test).

Two builds are the same when everything by which the policy tells them apart is equal; one is known to differ only where both versions
are known. A case stands on the build of its last whole try. Is that not the campaign's last build, its result is stale. A failure is
fixed when every build on which it was seen differs from the one where the case stands and from the last one, and there it passed
each time. On one build a pass never makes up for a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from avocado_hvqual.judging.cases import Counted, JudgedCase
from avocado_hvqual.judging.sighting import Sighting
from avocado_hvqual.model.finding import NOT_ATTEMPTED, FindingKind, normalise
from avocado_hvqual.model.qualification import Build
from avocado_hvqual.model.record import CampaignRecord
from avocado_hvqual.policy_model import BuildRule
from avocado_hvqual.wording import agreeing, counted, share

NOT_COUNTED = "not-attempted"
"""The policy's word for a stale result that counts as none; the other one, ``capped``, lets it count and caps the verdict."""


@dataclass(frozen=True)
class Builds:
    """The builds that a campaign ran on, told apart by the policy."""

    rule: BuildRule
    versions: tuple[dict[str, str], ...]

    @classmethod
    def of(cls, record: CampaignRecord, rule: BuildRule) -> Builds:
        """Return the builds of a campaign."""
        return cls(rule, record.builds or (record.header.versions,))

    @property
    def last(self) -> int:
        """The place of the build that the node has now."""
        return len(self.versions) - 1

    def same(self, one: int, other: int) -> bool:
        """Whether nothing tells the two apart; what is not known of one of them does."""
        return all(mine == theirs for mine, theirs in self._pairs(one, other).values())

    def differ(self, one: int, other: int) -> bool:
        """Whether the two are known to be different."""
        return any(mine and theirs and mine != theirs for mine, theirs in self._pairs(one, other).values())

    def change(self, before: int, after: int) -> str:
        """Return in words what tells two builds apart; empty when nothing does."""
        said = [
            f"{name} '{mine or 'unknown'}' became '{theirs or 'unknown'}'"
            for name, (mine, theirs) in self._pairs(before, after).items()
            if mine != theirs
        ]
        return ", ".join(said)

    def _pairs(self, one: int, other: int) -> dict[str, tuple[str, str]]:
        mine, theirs = self.versions[one], self.versions[other]
        return {name: (mine.get(name, ""), theirs.get(name, "")) for name in self.rule.identity}

    def settled(self, case: JudgedCase) -> JudgedCase:
        """Return the case with what another build fixed, and with what makes its result stale."""
        whole = [one for one in case.tried if one.attempted]
        if not whole or case.excused or not self.last:
            return case
        home = whole[-1].attempt.build
        there = [one for one in case.tried if self.same(one.attempt.build, home)]
        passes = sum(one.attempted for one in there)
        passed = passes >= self.rule.passes and not any(one.failed for one in there)
        counted = tuple(self._weighed(one, home, passes) if passed else one for one in case.counted)
        elsewhere = [one for one in case.tried if one.failed and not self._mended(one.attempt.build, home)]
        stale = "" if self.same(home, self.last) else self._stale(home)
        if stale and self.rule.stale == NOT_COUNTED:
            sighting = Sighting(FindingKind.STALE_RESULT, str(case.planned.key), stale)
            counted = (*counted, Counted(sighting, 1, len(case.tried)))
        return replace(case, counted=counted, home=home, fixed=passed and not elsewhere, passed=passed, stale=stale)

    def _mended(self, seen: int, home: int) -> bool:
        return self.differ(seen, home) and self.differ(seen, self.last)

    def _stale(self, home: int) -> str:
        return f"It was last tried on another build, and shows nothing of this one: {self.change(home, self.last)}."

    def _weighed(self, counted: Counted, home: int, passes: int) -> Counted:
        """Return what was seen in some tries; fixed when it was seen on other builds alone, and those are known to be others."""
        if counted.sighting.kind in NOT_ATTEMPTED or not all(self._mended(seen, home) for seen in counted.builds):
            return counted
        return replace(
            counted,
            fixed=self._fixed(max(counted.builds), home, f"the case passed {share(passes, passes, 'try', 'tries')}"),
        )

    def _fixed(self, seen: int, home: int, said: str) -> str:
        return f"Fixed by a change of build: {self.change(seen, home)}; there {said}."

    def events(self, sightings: Iterable[Sighting], cases: Sequence[JudgedCase]) -> list[Counted]:
        """
        Return what befell the node or the campaign, each once.

        What befell the node during a case is fixed when the case passed on another build and it did not happen there again; what
        befell it between cases, when all cases were attempted on the last build without it.
        """
        seen = list(dict.fromkeys(sightings))
        by_key = {str(case.planned.key): case for case in cases}
        return [Counted(one, 1, 1, fixed=self._fixed_event(one, seen, by_key)) for one in seen]

    def _fixed_event(self, event: Sighting, all_of_them: list[Sighting], cases: dict[str, JudgedCase]) -> str:
        if event.build is None or not self.last:
            return ""
        case = cases.get(event.case)
        if case is None:
            home = self.last
            good = not event.case and all(self._stands(one) for one in cases.values() if not one.excused)
            said = "each case was attempted and it did not happen again"
        else:
            home, good = case.home, case.passed
            said = "the case passed and it did not happen again"
        again = any(
            _fault(other) == _fault(event) and not self.differ(other.build, home)
            for other in all_of_them
            if other.build is not None
        )
        return self._fixed(event.build, home, said) if good and not again and self._mended(event.build, home) else ""

    def _stands(self, case: JudgedCase) -> bool:
        """Return whether the case was attempted on the last build."""
        return case.attempted and self.same(case.home, self.last)

    def capped(self, cases: Sequence[JudgedCase]) -> tuple[str, ...]:
        """Return why the verdict is at best QUALIFIED_WITH_WAIVERS for the sake of the builds; empty when no result is stale."""
        number = sum(bool(case.stale) for case in cases)
        if not number:
            return ()
        said = agreeing(number, "is", "are")
        return (f"{counted(number, 'result')} {said} of an earlier build than the last one that the campaign ran on.",)

    def told(self, cases: Sequence[JudgedCase]) -> tuple[Build, ...]:
        """Return the builds for the reports: those that nothing tells apart are one."""
        firsts = [place for place in range(len(self.versions)) if not place or not self.same(place - 1, place)]
        tried = [one.attempt.build for case in cases for one in case.tried if one.attempt.status]
        return tuple(
            Build(
                self.versions[after - 1],
                self.change(first - 1, first) if first else "",
                sum(first <= build < after for build in tried),
            )
            for first, after in zip(firsts, [*firsts[1:], len(self.versions)])
        )


def _fault(sighting: Sighting) -> tuple[FindingKind, str, str]:
    return sighting.kind, sighting.case, normalise(sighting.message)
