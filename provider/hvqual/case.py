# SPDX-License-Identifier: GPL-2.0-or-later
"""
One case from its first line to its last: what surrounds the steps that a test file writes.

Before the steps: parameters, the line ``begin`` on disk, what dead tests left is put back, the node's state. After them:
every limit is asked, every owed observation must have been seen, the node must be as it was.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from avocado.core.exceptions import TestBaseException, TestCancel, TestError, TestFail

from provider.hvqual import kernel_log, node_state, sniffer
from provider.hvqual.limit import Limit
from provider.hvqual.params import Guests, Identity, Reader
from provider.hvqual.record import Record
from provider.hvqual.undo import UndoError, UndoLog

S = TypeVar("S")

# Each test file imports this module, which avocado-vt does before it sniffs for addresses.
sniffer.instead()


@dataclass(frozen=True)
class Case(Generic[S]):
    """What a test's steps work with."""

    test: Any
    params: Any
    env: Any
    identity: Identity
    wanted: Guests
    own: S
    limits: dict[str, Limit]
    record: Record
    undo: UndoLog
    token: str


@contextmanager
def case(test: Any, params: Any, env: Any, own: type[S]) -> Iterator[Case[S]]:
    """Hold the case open for its steps; on the way out judge it and verify the node (DESIGN decisions 1, 2, 8, 17)."""
    reader = Reader(params)
    identity, wanted, settings, limits = reader.read(Identity), reader.read(Guests), reader.read(own), reader.limits()
    reader.close()
    key = identity.key(str(params["vm_type"]))
    record = Record(test.logdir)
    token = secrets.token_hex(4)
    given: dict[str, dict[str, Any]] = {"params": dict(reader.given), "scale": dict(reader.scale)}
    record.begin(key, identity.id, identity.profile, given=given, token=token)
    it = Case(test, params, env, identity, wanted, settings, limits, record, UndoLog.of_environment(), token)
    status, message = "error", "the test ended without saying how"
    try:
        with _marked(key, it.token), _node_unchanged(it):
            yield it
            _judge(it)
        status, message = "pass", ""
    except TestBaseException as error:
        status, message = {"FAIL": "fail", "CANCEL": "cancel", "SKIP": "cancel"}.get(error.status, "error"), str(error)
        raise
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
        raise
    finally:
        record.end(status, message)


def _judge(it: Case[Any]) -> None:
    """Answer each limit; TestFail for what is unmet or a problem that was written down, TestError for what was not seen."""
    answers = {name: it.record.criterion(name, limit) for name, limit in it.limits.items()}
    unmet = [_told(it, name) for name, answer in answers.items() if answer == "unmet"]
    if unmet:
        raise TestFail("; ".join(unmet))
    if it.record.problems:
        raise TestFail("; ".join(it.record.problems))
    owed = [name for name in it.identity.observations if name not in it.record.samples]
    unknown = [_told(it, name) for name, answer in answers.items() if answer == "unknown"]
    if owed or unknown:
        message = f"Not seen: {', '.join(owed) or 'nothing'}. Not answered: {'; '.join(unknown) or 'nothing'}. No pass without it."
        raise TestError(message)


def _told(it: Case[Any], name: str) -> str:
    """Return the numbers and the limit of one criterion as a sentence's part."""
    samples = it.record.samples.get(name, [])
    seen = ", ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value, _ in samples) or "nothing"
    return f"'{name}' saw {seen} where '{it.limits[name].text}' is the limit"


@contextmanager
def _node_unchanged(it: Case[Any]) -> Iterator[None]:
    """
    Hold the node to the state that it had before the block.

    What a dead test left is put back first. A node that is tainted is not touched. A leftover of this case is a failure of
    the product or of the test: it never hides the failure before it, both are recorded.
    """
    for outcome in it.undo.replay():
        it.record.append("undo", action=outcome.action, status=outcome.status, message=outcome.message)
    tainted = it.undo.status().tainted
    if tainted:
        message = f"This node is tainted ({'; '.join(tainted)}). Nothing runs on it before: avocado hvqual clean"
        it.record.problem("node-tainted", message)
        raise TestError(message)
    before = node_state.capture()
    _seen(it, before)
    it.record.append("node_state", when="before", digest=before.digest)
    try:
        yield
    except BaseException:
        _compare(it, before)
        raise
    left = _compare(it, before)
    if left:
        message = f"The node is not as it was before this case: {'; '.join(left)}"
        raise TestFail(message)


def _compare(it: Case[Any], before: node_state.NodeState) -> list[str]:
    """Record the node's state now and what differs from *before*; every difference is a leftover problem."""
    after = node_state.capture()
    _seen(it, after)
    left = list(node_state.diff(before, after))
    it.record.append("node_state", when="after", digest=after.digest, differences=left)
    if left:
        it.record.problem("leftover", f"The case left the node changed: {'; '.join(left)}")
    return left


def _seen(it: Case[Any], state: node_state.NodeState) -> None:
    """TestError when a part of the node could not be looked at: two states that are both unknown are equal and prove nothing."""
    if state.unreachable:
        message = (
            f"The node's state cannot be told: {'; '.join(map(str, state.unreachable))}. Mend what does not answer."
        )
        it.record.problem("health-unknown", message)
        raise TestError(message)


@contextmanager
def _marked(key: str, token: str) -> Iterator[None]:
    """Mark begin and end of the case in the kernel log, so that what the kernel says meanwhile is the case's (decision 11)."""
    kernel_log.mark(f"hvqual: begin {key} {token}")
    try:
        yield
    finally:
        kernel_log.mark(f"hvqual: end {key} {token}")


__all__ = ["Case", "TestCancel", "UndoError", "case"]
