# SPDX-License-Identifier: GPL-2.0-or-later
"""Named operations on a guest under libvirt; `table` lists those that walks may combine."""
