# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that checks run on a node: each writes one JSON object to its standard output."""
