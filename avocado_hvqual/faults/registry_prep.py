# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults that cases of node preparation must find in guests; what is wrong with a node itself is seeded in tests/preparation."""

from __future__ import annotations

from avocado_hvqual.faults.fault import Fault

HOTPLUG_IN_GUEST = "hvqual.prep.hotplug.modules"
PREP_FILTERS = {HOTPLUG_IN_GUEST: "prep.in_guest.hotplug.devices"}
"""Which variants are run for a use case that a fault names."""

PREPARATION = (
    Fault(
        "device-plug-does-nothing",
        (HOTPLUG_IN_GUEST,),
        r"should have told 'Device added' for 'ua-hvq-rng'",
        "major",
        lie="attach-device",
    ),
    Fault(
        "device-unplug-does-nothing",
        (HOTPLUG_IN_GUEST,),
        r"should have told 'Device removed' for 'ua-hvq-rng'",
        "major",
        lie="detach-device",
    ),
)
