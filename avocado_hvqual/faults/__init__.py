# SPDX-License-Identifier: GPL-2.0-or-later
"""Seeded faults: with them the suite proves that it would notice (docs/decisions: what proves a test)."""
