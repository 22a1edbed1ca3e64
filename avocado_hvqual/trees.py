# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the test provider's trees lie: beside the package in a checkout, below `share/` when installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from avocado_hvqual.errors import RegistrationError

DISTRIBUTION = "avocado-hvqual"
TREES = ("provider", "generic", "qemu", "libvirt")
SHARE = Path("share") / DISTRIBUTION
# One file that only our own trees have: another provider's checkout may have all four folders.
MARK = Path("provider", "hvqual", "__init__.py")


def provider_root() -> Path:
    """
    Return the folder that holds `provider`, `generic`, `qemu` and `libvirt` of this installation.

    Raises RegistrationError when none of the known places holds them, as after a half-removed installation.
    """
    package = Path(__file__).resolve().parent
    for root in _candidates(package):
        if _holds_trees(root):
            return root
    message = (
        f"The test provider's folders were found neither beside '{package}' nor below a '{SHARE}' of its prefix. "
        f"Install {DISTRIBUTION} again."
    )
    raise RegistrationError(message)


def _candidates(package: Path) -> Iterator[Path]:
    """Yield where the trees may lie, the nearest first: an installation must not pick up another one's trees."""
    yield package.parent
    # A wheel under PREFIX/lib/pythonX.Y/site-packages has them in PREFIX/share; `pip install --target DIR` in DIR/share.
    for ancestor in list(package.parents)[:5]:
        yield ancestor / SHARE
    yield from _recorded()


def _recorded() -> Iterator[Path]:
    """Yield what pip wrote down of this distribution, for installation schemes with other folders."""
    try:
        files = metadata.files(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return
    tail = (SHARE / MARK).as_posix()
    for file in files:
        if file.as_posix().endswith(tail):
            yield Path(str(file.locate())).resolve().parents[len(MARK.parts) - 1]


def _holds_trees(root: Path) -> bool:
    return (root / MARK).is_file() and all((root / tree).is_dir() for tree in TREES)
