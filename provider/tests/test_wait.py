# SPDX-License-Identifier: GPL-2.0-or-later
"""How long something is not there is counted from the first look that found nothing."""

from __future__ import annotations

from provider.hvqual import wait
from provider.hvqual.wait import Absence


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_an_absence_is_counted_from_the_first_look_that_found_nothing(monkeypatch):
    clock, there, looks = Clock(), [True], []
    monkeypatch.setattr(wait, "time", clock)

    def look():
        looks.append(clock.now)
        return there[0]

    absence = Absence(look)

    def after(seconds):
        clock.now += seconds
        return absence.seconds()

    assert after(0.5) == 0
    assert looks == [], "it is looked for once a second at the most"
    assert after(0.5) == 0
    there[0] = False
    assert after(0.5) == 0
    # Whoever was held up for long has seen nothing meanwhile.
    assert after(60) == 0
    assert after(2) == 2
    assert after(0.5) == 2.5
    there[0] = True
    assert after(1) == 0
    there[0] = False
    assert after(1) == 0
    assert after(1) == 1
    assert looks == [101.0, 161.5, 163.5, 165.0, 166.0, 167.0]
