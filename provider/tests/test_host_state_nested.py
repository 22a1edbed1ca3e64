# SPDX-License-Identifier: GPL-2.0-or-later
"""Any nesting of settings, with the kernel refusing and blocks failing anywhere, gives the node back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from avocado.core.exceptions import TestFail
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from provider.hvqual import host_state, processes, undo_actions, undo_store
from provider.hvqual.host_state import HostStateError


class NestedSettings(RuleBasedStateMachine):
    """For any nesting of settings, with the kernel refusing and blocks failing at any point, the node ends as it began."""

    def __init__(self):
        super().__init__()
        self.values = {"a": "1", "b": "2", "c": "3"}
        self.first = dict(self.values)
        self.entries: list[tuple] = []
        self.open: list = []
        self.refuse_next = False

    names = st.sampled_from(["a", "b", "c"])

    def read(self, path):
        return self.values[Path(path).name]

    def write(self, path, value):
        if self.refuse_next:
            self.refuse_next = False
            raise OSError(22, "Invalid argument")
        assert self.entries, "written before it was recorded"
        self.values[Path(path).name] = value

    class FakeLog:
        def __init__(self, machine):
            self.machine, self.home = machine, Path("/nonexistent")

        def record(self, action, **details):
            self.machine.entries.append((action, details))
            return undo_store.Entry(Path(str(len(self.machine.entries))), action, details, processes.identity(), 0.0)

        def done(self, entry):
            assert self.machine.entries.pop() == (entry.action, entry.details), "not last in, first out"

        def taint(self, reason):
            raise AssertionError(reason)

    def patched(self, act):
        with pytest.MonkeyPatch.context() as patch:
            for module in (host_state, undo_actions):
                patch.setattr(module, "read_setting", self.read)
                patch.setattr(module, "write_setting", self.write)
            patch.setattr(undo_actions, "is_kernel_file", lambda path: True)
            patch.setattr(Path, "exists", lambda self: True)
            return act()

    @rule(name=names, value=st.integers(4, 9))
    def enter(self, name, value):
        block = host_state.kernel_setting(f"/proc/{name}", value, log=self.FakeLog(self))
        self.patched(block.__enter__)
        self.open.append((block, dict(self.values), name))
        assert self.values[name] == str(value)

    @rule(name=names, value=st.integers(4, 9))
    def enter_refused(self, name, value):
        before = dict(self.values)
        self.refuse_next = True
        block = host_state.kernel_setting(f"/proc/{name}", value, log=self.FakeLog(self))
        with pytest.raises(HostStateError):
            self.patched(block.__enter__)
        assert self.values == before

    @precondition(lambda self: self.open)
    @rule(fails=st.booleans())
    def leave(self, fails):
        block, _, _ = self.open.pop()
        if fails:
            error = TestFail("the product")
            assert not self.patched(lambda: block.__exit__(TestFail, error, None))
        else:
            self.patched(lambda: block.__exit__(None, None, None))

    @invariant()
    def the_log_holds_what_is_open(self):
        assert len(self.entries) == len(self.open)

    def teardown(self):
        while self.open:
            self.leave(fails=False)
        assert self.values == self.first
        assert self.entries == []


TestNestedSettings = NestedSettings.TestCase
TestNestedSettings.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
