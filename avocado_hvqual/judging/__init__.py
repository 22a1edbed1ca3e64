# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of the judge, each a pure function of the campaign's record and the policy; `judge.py` puts them together."""
