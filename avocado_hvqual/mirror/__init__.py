# SPDX-License-Identifier: GPL-2.0-or-later
"""
A campaign's journal and evidence, off the node while it runs; and the watcher at the other end, to which silence is a host that hangs.

``address``   where to: a path, or ssh
``receiver``  the program at the other end: appends, keeps, stamps; sent there as text, so that nothing has to be installed
``channel``   orders to a receiver and its answers, each within a time
``sender``    the program beside the campaign: sends what has grown, beats, begins anew when the other end is lost
``mirror``    the campaign's handle on its sender
``watching``  the watcher; ``notes`` is what it writes and the judge reads
"""
