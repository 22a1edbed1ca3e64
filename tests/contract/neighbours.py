# SPDX-License-Identifier: GPL-2.0-or-later
"""
Other test providers to stand beside: tp-libvirt and tp-qemu, or small ones of the same shape.

HVQUAL_TP_LIBVIRT and HVQUAL_TP_QEMU name checkouts of the real ones.
"""

from __future__ import annotations

import os
from pathlib import Path

# The sections are those of avocado-vt's own provider files. tp-qemu's `[generic]` beside a second one is what avocado-vt gets wrong.
SECTIONS = {
    "tp-libvirt": ("libvirt", "virttools", "v2v"),
    "tp-qemu": ("generic", "qemu", "multi_host_migration", "openvswitch"),
}
PASSING = "def run(test, params, env):\n    test.log.info('a neighbour ran')\n"
# vm_type and the missing VM are avocado-vt's business: a case without any guest.
CFG = '- {name}:\n    type = {name}\n    vms = ""\n    main_vm = ""\n    start_vm = no\n    variants:\n        - one:\n        - two:\n'
QUIET = (
    "    skip_image_processing = yes\n    take_regular_screendumps = no\n    store_vm_info = no\n    run_tcpdump = no\n"
)


def make(folder: Path) -> dict:
    """Return provider name -> root of both neighbours, made in *folder* unless the environment names real ones."""
    roots = {}
    for name in SECTIONS:
        given = os.environ.get(f"HVQUAL_{name.replace('-', '_').upper()}")
        roots[name] = Path(given) if given else _synthetic(folder / name, name)
    return roots


def _synthetic(root: Path, name: str) -> Path:
    for section in SECTIONS[name]:
        for number in range(3):
            stem = f"{name.replace('-', '_')}_{section}_{number}"
            cfg = root / section / "tests" / "cfg" / f"{stem}.cfg"
            source = root / section / "tests" / f"{stem}.py"
            cfg.parent.mkdir(parents=True, exist_ok=True)
            cfg.write_text(CFG.format(name=stem).replace("    variants:", QUIET + "    variants:"), encoding="utf-8")
            source.write_text(PASSING, encoding="utf-8")
    return root


def register(providers: Path, roots: dict) -> None:
    """Write the provider files of the neighbours into *providers*, as their users do."""
    (providers / "downloads" / ".keep").mkdir(parents=True, exist_ok=True)
    for name, root in roots.items():
        sections = "".join(f"[{section}]\nsubdir: {section}/\n" for section in SECTIONS[name])
        (providers / f"{name}.ini").write_text(f"[provider]\nuri: file://{root}\n{sections}", encoding="utf-8")
