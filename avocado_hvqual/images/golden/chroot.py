# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that run inside an installed tree, with /proc, /sys and /dev in mounts that end with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

#: $1 is the tree, the rest the command. The mount namespace is its own, so that nothing is left behind, whatever ends it.
_SCRIPT = """set -e
tree=$1
shift
mount -t proc proc "$tree/proc"
mount --rbind -o ro /sys "$tree/sys"
mount --bind /dev "$tree/dev"
exec chroot "$tree" "$@"
"""


def inside(tree: Path, command: Sequence[str]) -> list[str]:
    """Return the command line that runs *command* with *tree* as its root."""
    own = ["unshare", "--mount", "--propagation", "private"]
    return [*own, "sh", "-c", _SCRIPT, "hvq-inside", str(tree), "env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *command]
