# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest images of one contract: login, witness, heartbeats, agent."""

from avocado_hvqual.images.micro import build_micro

__all__ = ["build_micro"]
