# SPDX-License-Identifier: GPL-2.0-or-later
"""
The operations that sequences and walks may combine, written out; later categories add theirs here and nowhere else.

Each row: its name, when it is allowed, how it is done, and what it makes of the model (`provider.hvqual.engine`).
"""

from __future__ import annotations

import functools

from provider.hvqual.engine import OFF, PAUSED, RUNNING, Model, Operation
from provider.hvqual.operations import pause, power, restart, saving


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
