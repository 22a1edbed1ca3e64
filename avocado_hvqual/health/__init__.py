# SPDX-License-Identifier: GPL-2.0-or-later
"""
What happened on the node meanwhile: its kernel log, boot, services and leftovers, told apart by case.

A watcher thread reads the kernel log as it grows instead of a look between cases, for one reason: when the host hangs, panics
or loses power there is no "between cases" any more. The thread writes each record to the campaign's ``kernel.log`` as it comes
(and fsyncs what looks bad), so the last words survive. A thread can die unseen, so it is never believed by itself: at the end a
marker is written to the kernel log and must arrive through the watcher; if it does not, health is unknown.
"""
