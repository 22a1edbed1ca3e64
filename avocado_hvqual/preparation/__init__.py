# SPDX-License-Identifier: GPL-2.0-or-later
"""From a bare host to a node that can be tested: what is asked of it, what was found, and what mends it."""
