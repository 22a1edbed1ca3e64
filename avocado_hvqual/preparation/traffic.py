# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask guests what they reach: the plan for programs/traffic.py and its answer, for the deep checks of networks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avocado_hvqual.lab.paths import home
from avocado_hvqual.preparation import accelerator
from avocado_hvqual.preparation.answers import error_of, of_program
from avocado_hvqual.preparation.model import Node
from avocado_hvqual.preparation.virsh import uri

_TIMEOUT_S = 480.0


def image_folder() -> Path:
    """Return where the micro guest's image lies."""
    return home() / "images" / "micro"


def guest(name: str, kind: str, source: str, address: str = "", gateway: str = "") -> dict[str, str]:
    """Return a guest of the plan."""
    return {"name": name, "kind": kind, "source": source, "address": address, "gateway": gateway}


def probe(of: str, to: str, via: str = "") -> dict[str, str]:
    """Return a question of the plan: whether the guest *of* reaches *to*, told to go by *via*."""
    return {"from": of, "to": to, "via": via}


def ask(
    node: Node, guests: Sequence[dict[str, str]], probes: Sequence[dict[str, str]], *, outside: bool = False
) -> dict[str, Any]:
    """Return what the guests saw; {"error": a sentence} when they could not be asked."""
    folder = image_folder()
    if node.read(str(folder / "manifest.json")) is None:
        return {"error": f"There is no guest image in '{folder}'; make it with: avocado hvqual image build micro"}
    kind = accelerator.of(node)
    if kind not in {"kvm", "tcg"}:
        return {"error": "No accelerator was found that runs a guest."}
    plan = {
        "uri": uri(node),
        "accelerator": kind,
        "image": str(folder),
        "outside": outside,
        "guests": list(guests),
        "probes": list(probes),
    }
    run = node.ask("traffic", json.dumps(plan), timeout=_TIMEOUT_S)
    told = of_program(run, "guests", "probes")
    return {"error": error_of(run)} if told is None else told
