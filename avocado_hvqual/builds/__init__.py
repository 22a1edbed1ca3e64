# SPDX-License-Identifier: GPL-2.0-or-later
"""Own builds of QEMU and of the kernel: from a source to an installed package, with a record by which a verdict can name them."""
