# SPDX-License-Identifier: GPL-2.0-or-later
"""Is this node like the others? What a node is made of (`node facts`), and what may differ from one to the next (`node compare`)."""
