# SPDX-License-Identifier: GPL-2.0-or-later
"""
What avocado 113 does not do for a test of ours that hangs or dies: notice, end it whole, and let the job go on.

Seen with avocado 113: a runner whose test process died without a word waits for ever; a runner that was killed makes the job wait
for ever; and a test that ran into task.timeout keeps running as an orphan beside the next test. A thread looks at the processes
of our own tasks once a second and ends such a test with a status and a sentence, through the job's own status server.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Optional

from avocado.core.nrunner.task import TaskStatusService
from avocado.core.utils import messages

from avocado_hvqual.campaign import processes

LOOK_SECONDS = 1.0
SILENCE_SECONDS = 3.0
"""A test that ended well has its last message on the way for some milliseconds; after this long there is none."""

GRACE_SECONDS = 10.0
"""Time for a test's own ``finally`` blocks, which put the node back."""

MARGIN_SECONDS = 60.0
"""What avocado-vt needs around a test of ours (imports, sniffer, version checks) on a loaded machine, on top of hv_timeout."""


class Watchdog(threading.Thread):
    """Watches the tasks of one job whose runnables are ours; ``stop`` ends every process that they left."""

    def __init__(self, job: Any, margin: float = MARGIN_SECONDS) -> None:
        super().__init__(name="hvqual-watchdog", daemon=True)
        # The property makes the runner when asked first, so it is asked here, in the job's own thread.
        self._runners = [suite.runner for suite in job.test_suites]
        self._job_id = job.unique_id
        self._margin = margin
        self._ended = threading.Event()
        self._silent: dict[str, float] = {}
        self._told: set[str] = set()
        self._since: dict[str, float] = {}
        self.failure: Optional[str] = None

    def run(self) -> None:
        """Look once a second until told to stop; what ends the thread early is kept in ``failure``."""
        try:
            while not self._ended.wait(LOOK_SECONDS):
                for runner in self._runners:
                    for task in list(getattr(runner, "runtime_tasks", None) or ()):
                        self._look(runner, task)
        except Exception as error:  # noqa: BLE001 - a thread's exception is seen by nobody, the job's end tells it
            self.failure = f"The watchdog over the tests died: {error!r}."

    def stop(self) -> list[str]:
        """
        End the thread and every process that a task of ours left; return a sentence for each that survived even SIGKILL.

        A test that was interrupted is given time first: its ``finally`` blocks put the node back.
        """
        self._ended.set()
        if self.is_alive():
            self.join(LOOK_SECONDS * 5 + GRACE_SECONDS * 2)
        tasks = [
            task for runner in self._runners for task in getattr(runner, "runtime_tasks", None) or () if _ours(task)
        ]
        ours = {str(task.task.identifier) for task in tasks}
        left: list[str] = []
        for task_id in sorted(ours & set(processes.tasks_of_job(self._job_id))):
            left.extend(
                f"Process {process.pid} of '{task_id}' cannot be ended." for process in self._end_processes(task_id)
            )
        return left

    def _look(self, runner: Any, task: Any) -> None:
        task_id = str(task.task.identifier)
        if not _ours(task) or task.spawner_handle is None or task_id in self._told:
            return
        started = self._since.setdefault(task_id, time.monotonic())
        if runner.status_repo.get_task_status(task_id) == "finished":
            self._told.add(task_id)
            return
        limit = float(task.task.runnable.kwargs["hv_timeout"]) + self._margin
        if time.monotonic() - started > limit:
            self._end(
                task,
                "interrupted",
                f"The test did not end in its {limit:g} s (hv_timeout and {self._margin:g} s around it) and was killed.",
            )
            return
        self._look_for_death(task, task_id)

    def _look_for_death(self, task: Any, task_id: str) -> None:
        alive = [process for process in processes.of_task(task_id, self._job_id) if process.alive]
        runner = processes.look(task.spawner_handle.process.pid)
        runner_alive = runner is not None and runner.alive
        forked = [process for process in alive if runner is None or process.pid != runner.pid]
        dead_child = (
            runner_alive
            and not forked
            and any(not child.alive for child in processes.below(task.spawner_handle.process.pid, processes.everyone()))
        )
        if runner_alive and not dead_child:
            self._silent.pop(task_id, None)
            return
        since = self._silent.setdefault(task_id, time.monotonic())
        if time.monotonic() - since >= SILENCE_SECONDS:
            who = "test process" if runner_alive else "test's runner"
            self._end(
                task,
                "error",
                f"The {who} died without a result: killed, out of memory, or a crash in a library; see the host's kernel log.",
            )

    def _end(self, task: Any, result: str, reason: str) -> None:
        task_id = str(task.task.identifier)
        self._told.add(task_id)
        self._end_processes(task_id)
        service = TaskStatusService(task.task.status_services[0].uri)
        message = messages.FinishedMessage.get(
            result,
            fail_reason=reason,
            class_name="VirtTest",
            fail_class="HvqualWatchdog",
            id=task_id,
            job_id=self._job_id,
        )
        service.post(message)
        service.close()

    def _end_processes(self, task_id: str, patience: float = 0.0) -> list[processes.Process]:
        """End the test before its runner: avocado starts the next test as soon as the runner is gone."""
        family = processes.of_task(task_id, self._job_id)
        everyone = processes.everyone()
        for process in list(family):
            family.extend(child for child in processes.below(process.pid, everyone) if child not in family)
        parents = {process.parent for process in family}
        runners = [
            process
            for process in family
            if process.pid in parents and process.parent not in {member.pid for member in family}
        ]
        tests = [process for process in family if process not in runners]
        return processes.kill(tests, GRACE_SECONDS, patience) + processes.kill(runners, LOOK_SECONDS)


def _ours(task: Any) -> bool:
    return bool(task.task.runnable.kwargs.get("hv_id"))
