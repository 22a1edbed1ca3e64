# SPDX-License-Identifier: GPL-2.0-or-later
"""The recipe virt-install: placeholder until the module is complete."""
