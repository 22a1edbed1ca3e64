# SPDX-License-Identifier: GPL-2.0-or-later
"""
The operations that sequences and walks may combine, written out; later categories add theirs here and nowhere else.

Each row: its name, when it is allowed, how it is done, and what it makes of the model (`provider.hvqual.engine`).
"""

from __future__ import annotations

from provider.hvqual.engine import OFF, RUNNING, Model, Operation
from provider.hvqual.operations import power, saving


def _off(model: Model) -> bool:
    return model.state == OFF


def _running(model: Model) -> bool:
    return model.state == RUNNING


LIFECYCLE: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("start", lambda model: _off(model) and not model.saved, power.start, Model.booted),
        Operation("shutdown", _running, power.shutdown, lambda model: model.to(state=OFF)),
        Operation("destroy", _running, power.destroy, lambda model: model.to(state=OFF)),
        Operation("save_restore", _running, saving.saved_and_restored, lambda model: model),
    )
}
