# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a campaign: phases, gates, avocado jobs, their watch, and the way into the lab's host."""
