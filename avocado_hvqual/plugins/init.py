# SPDX-License-Identifier: GPL-2.0-or-later
"""The first thing that avocado calls: here the provider gets registered, before avocado-vt's own plugins are imported."""

from __future__ import annotations

from avocado.core.plugin_interfaces import Init

from avocado_hvqual.registration import register_at_start


class HvqualInit(Init):
    """Registers the provider; registers no setting, so that `avocado config` is what it would be without us."""

    name = "hvqual-init"
    description = "Registers the hvqual tests with avocado-vt"

    def initialize(self) -> None:
        """Register the provider, or say in one line on stderr why not."""
        register_at_start()
