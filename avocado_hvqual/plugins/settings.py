# SPDX-License-Identifier: GPL-2.0-or-later
"""Avocado settings for our own jobs only."""

from __future__ import annotations

import os

from avocado.core.plugin_interfaces import Settings

VARIABLE = "HVQUAL_AVOCADO_CONF"


class HvqualSettings(Settings):
    """
    Adds the file that the environment variable HVQUAL_AVOCADO_CONF names, after the system's files and before the user's own.

    A campaign sets the variable for its jobs. `avocado --config FILE` will not do: avocado's test runner processes do not read it
    (only a few keys travel to them), while the environment reaches them. Without the variable nothing is added.
    """

    name = "hvqual-settings"
    description = "Settings of hvqual's own jobs (environment variable HVQUAL_AVOCADO_CONF)"

    def adjust_settings_paths(self, paths: list[str]) -> None:
        """Append the named file to *paths*; avocado ignores a file that is not there."""
        path = os.environ.get(VARIABLE)
        if path:
            paths.append(path)
