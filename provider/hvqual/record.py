# SPDX-License-Identifier: GPL-2.0-or-later
"""
What one test saw: observations, criteria and evidence, appended line by line to ``observations.jsonl``.

A line is written before the test goes on, so the file is whole up to the moment at which the test process died
(the whiteboard of avocado 113 is sent only at the end of a test and is lost with it).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Optional, Union

from provider.hvqual.limit import Limit, Sample, Value

FILE = "observations.jsonl"
EVIDENCE = "evidence"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Record:
    """The journal of one test; every method appends one line."""

    def __init__(self, folder: Union[str, Path]) -> None:
        """Open the journal in *folder* (the test's logdir), which must not hold one yet: a record is never rewritten."""
        self.folder = Path(folder)
        self.samples: dict[str, list[Sample]] = {}
        self.problems: list[str] = []
        self.labels: dict[str, str] = {}
        """By VM: what its samples are about, such as its flavor."""
        self._seq = 0
        # Operations on many VMs write from a thread each.
        self._lock = threading.RLock()
        self._file: IO[str] = (self.folder / FILE).open("x", encoding="utf-8")

    def append(self, kind: str, *, durable: bool = False, **data: Any) -> None:
        """Write one line; *durable* waits until the disk has it (the barrier before the test touches anything)."""
        with self._lock:
            line = {"kind": kind, "seq": self._seq, "mono": time.monotonic(), **data}
            self._file.write(json.dumps(line, sort_keys=True, allow_nan=False) + "\n")
            self._file.flush()
            if durable:
                os.fsync(self._file.fileno())
            self._seq += 1

    def begin(
        self, case: str, use_case: str, profile: str, *, given: Mapping[str, Mapping[str, Any]], token: str = ""
    ) -> None:
        """
        Say that the test starts; on disk before the test changes anything (decision 17).

        *given* holds its ``params`` as they came and its ``scale``: {name: [used, at production]}. *token* marks the case in the
        kernel log.
        """
        self.append(
            "begin",
            durable=True,
            case=case,
            id=use_case,
            profile=profile,
            scale=dict(given["scale"]),
            params=dict(given["params"]),
            token=token,
            wall=time.time(),
            boot_id=BOOT_ID.read_text(encoding="ascii").strip(),
            pid=os.getpid(),
        )

    def end(self, status: str, message: str) -> None:
        """Say how the test ended: pass, fail, error or cancel."""
        self.append("end", durable=True, status=status, message=message, wall=time.time())
        self._file.close()

    def observe(self, name: str, value: Value, unit: str, vm: Optional[str] = None) -> None:
        """Record one sample of *name*; a float that is not finite is refused (ValueError), for it is no observation."""
        label = self.labels.get(vm or "", "")
        with self._lock:
            about: dict[str, Any] = {"label": label} if label else {}
            self.append("observation", name=name, value=value, unit=unit, samples=1, vm=vm, **about)
            self.samples.setdefault(name, []).append((value, unit))

    @contextmanager
    def timed(self, name: str, vm: Optional[str] = None) -> Iterator[None]:
        """Record how many seconds the block took; a block that raised took no time worth knowing and records none."""
        started = time.monotonic()
        yield
        self.observe(name, time.monotonic() - started, "s", vm)

    @contextmanager
    def step(self, name: str, vm: Optional[str] = None) -> Iterator[None]:
        """Mark a step of the use case, of one VM or of all (None): its begin, and its end unless it raised."""
        self.append("step", name=name, vm=vm, phase="begin")
        yield
        self.append("step", name=name, vm=vm, phase="end")

    def criterion(self, observation: str, limit: Limit) -> str:
        """Answer *limit* on what was seen so far, write question and answer down, return the answer."""
        answer = limit.answer(self.samples.get(observation, []))
        self.append("criterion", observation=observation, limit=limit.text, answer=answer)
        return answer

    def problem(self, what: str, message: str, vm: Optional[str] = None) -> None:
        """Write down something that went wrong, by its kind in the vocabulary of findings."""
        with self._lock:
            self.append("problem", what=what, message=message, vm=vm)
            self.problems.append(message)

    def seed(self, seed: str, about: str) -> None:
        """Write down the seed of what was chosen at random, with which it can be done again."""
        self.append("seed", durable=True, seed=seed, about=about)

    def capability(self, name: str, reason: str, *, ok: bool) -> None:
        """Write down what a probe of the node answered."""
        self.append("capability", name=name, ok=ok, reason=reason)

    def evidence(self, name: str, content: Union[str, bytes], about: str) -> Path:
        """Keep *content* as the file evidence/*name* beside the journal and point to it; returns its path."""
        folder = self.folder / EVIDENCE
        folder.mkdir(exist_ok=True)
        path = folder / name
        data = content.encode("utf-8", "replace") if isinstance(content, str) else content
        path.write_bytes(data)
        self.evidence_file(path, about)
        return path

    def evidence_file(self, path: Path, about: str) -> None:
        """Point to a file that lies below the test's folder already, as it is now."""
        with path.open("rb") as file:
            digest = hashlib.sha256()
            for part in iter(lambda: file.read(1 << 20), b""):
                digest.update(part)
        where = path.relative_to(self.folder)
        self.append("evidence", name=path.name, path=str(where), sha256=digest.hexdigest(), about=about)
