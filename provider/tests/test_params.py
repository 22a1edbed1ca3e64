# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters are closed: one error names everything that is wrong, and a profile's own value wins under that profile only."""

from dataclasses import dataclass

import pytest
from avocado.core.exceptions import TestError

from provider.hvqual.params import Identity, Reader


@dataclass(frozen=True)
class Own:
    """Parameters of a case of its own."""

    rounds: int
    share: float = 0.5
    cold: bool = False


GOOD = {"hv_rounds": "3", "hv_rounds_smoke": "1", "hv_rounds_production": "1000", "hv_profile": "smoke", "vms": ""}


def read(**changes):
    """Read `Own` from the good parameters with changes, as a case does."""
    reader = Reader({**GOOD, **changes})
    reader.known.add("hv_profile")
    own = reader.read(Own)
    limits = reader.limits()
    reader.close()
    return own, limits, reader


def test_the_profile_decides():
    """A suffixed value holds under its profile, the plain one elsewhere; the scale tells used and production value."""
    own, _, reader = read()
    assert own == Own(1)
    assert reader.scale == {"hv_rounds": ["1", "1000"]}
    assert read(hv_profile="lab")[0] == Own(3)
    assert read(hv_profile="production")[0].rounds == 1000


def test_every_error_is_named_at_once():
    """Unknown, malformed and bad limits stand in one TestError, so that a user corrects them in one go."""
    with pytest.raises(TestError) as error:
        read(hv_ronds="3", hv_share="much", hv_limit_x="max <= nan s", hv_other_smoke="1")
    for name in (
        "'hv_ronds' is not a parameter",
        "'hv_share' is 'much'",
        "'hv_limit_x'",
        "'hv_other_smoke' gives a value",
    ):
        assert name in str(error.value)


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "", "1e400"])
def test_numbers_are_finite_and_not_negative(value):
    """A number from which no waiting time or size can be made is refused."""
    with pytest.raises(TestError, match="hv_share"):
        read(hv_share=value)


def test_missing_is_an_error_not_a_skip():
    """avocado-vt turns a missing parameter into a SKIP, which leaves the exit code at 0."""
    reader = Reader({"hv_profile": "lab"})
    reader.read(Own)
    with pytest.raises(TestError, match="'hv_rounds' is missing"):
        reader.close()


def test_closed_words():
    """A phase that no gate knows is refused."""
    reader = Reader({"hv_phase": "hypervizor"})
    reader.read(Identity)
    with pytest.raises(TestError, match="hypervizor"):
        reader.close()


def test_limits_are_parsed():
    """Each hv_limit_ becomes a limit by the observation that it questions."""
    limits = read(hv_limit_guest_ready="max < 10 s")[1]
    assert limits["guest_ready"].number == 10
