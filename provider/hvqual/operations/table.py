# SPDX-License-Identifier: GPL-2.0-or-later
"""
The operations that sequences and walks may combine, written out; later categories add theirs here and nowhere else.

Each row: its name, when it is allowed, how it is done, and what it makes of the model (`provider.hvqual.engine`).
"""

from __future__ import annotations

import functools
from typing import Callable

from provider.hvqual import vcpu_map
from provider.hvqual.engine import OFF, PAUSED, RUNNING, Model, Operation
from provider.hvqual.operations import cpu_hotplug, pause, power, restart, saving
from provider.hvqual.operations.followed import followed


def _off(model: Model) -> bool:
    return model.state == OFF and not model.saved


def _saved(model: Model) -> bool:
    return model.state == OFF and model.saved


def _running(model: Model) -> bool:
    return model.state == RUNNING


def _paused(model: Model) -> bool:
    return model.state == PAUSED


def _unchanged(model: Model) -> Model:
    return model


def _restart(method: str) -> Operation:
    act = functools.partial(restart.restart, method=method)
    return Operation(f"restart_{method}", _running, act, Model.booted)


LIFECYCLE: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("start", _off, power.start, Model.booted),
        Operation("shutdown", _running, power.shutdown, Model.off),
        Operation("destroy", _running, power.destroy, Model.off),
        Operation("suspend", _running, pause.suspend, lambda model: model.to(state=PAUSED)),
        Operation("resume", _paused, pause.resume, lambda model: model.to(state=RUNNING)),
        Operation("destroy_paused", _paused, power.destroy, Model.off),
        Operation("save_restore", _running, saving.saved_and_restored, _unchanged),
        Operation("managed_save", _running, saving.managed_save, lambda model: model.to(state=OFF, saved=True)),
        Operation("start_saved", _saved, saving.start_saved, lambda model: model.to(state=RUNNING, saved=False)),
        _restart("acpi"),
        _restart("agent"),
        _restart("reset"),
        _restart("guest"),
    )
}


PLUGGED = "plugged vCPUs"
# As many as a walk plugs into one guest: each more makes all that follows slower, and shows nothing else.
MOST_PLUGGED = 5


def _plugged(change: int) -> Callable[[Model], Model]:
    return lambda model: model.to(live={**model.live, PLUGGED: model.live.get(PLUGGED, 0) + change})


CPU: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation(
            "plug",
            lambda model: _running(model) and model.live.get(PLUGGED, 0) < MOST_PLUGGED,
            cpu_hotplug.plug,
            _plugged(1),
        ),
        Operation(
            "unplug",
            lambda model: _running(model) and model.live.get(PLUGGED, 0) > 0,
            cpu_hotplug.unplug,
            _plugged(-1),
        ),
    )
}
"""vCPUs that come and go, one at a time."""

CPU_MIX = followed({**LIFECYCLE, **CPU}, vcpu_map.as_modelled)
"""All of them together; after each step those who can tell are asked for the vCPUs that the model foretells."""
