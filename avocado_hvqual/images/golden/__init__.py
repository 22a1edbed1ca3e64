# SPDX-License-Identifier: GPL-2.0-or-later
"""The golden image: a real distribution on a raw disk, under the micro guest's contract, proven by booting it."""
