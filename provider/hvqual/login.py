# SPDX-License-Identifier: GPL-2.0-or-later
"""
A login over ssh that answers each question as soon as it has come.

avocado-vt 113 logs in by the same `aexpect.remote.handle_prompts`, which waits for half a second of silence before it looks for the
question, and again for the prompt: a second of each login, in which nothing happens.
"""

from __future__ import annotations

import secrets
import shlex
import time
from typing import Any, Optional

from aexpect import remote
from aexpect.client import RemoteSession
from virttest import utils_logfile

from provider.hvqual.wait import WaitTimeoutError, until

_GATHER_S = 0.005
"""What aexpect reads in one go. A question that came in two pieces is looked at again with the second."""
_STEP_S = 10.0
"""For so long each step of a login may take, as in avocado-vt."""
_AGAIN_S = 0.5


class Session(RemoteSession):
    """A session whose last line is looked at without half a second of silence before it."""

    def read_until_last_line_matches(self, patterns: Any, timeout: float = 60.0, *_: Any, **__: Any) -> Any:
        """Return which of *patterns* the last line matches, and what was read; as in aexpect, but for the silence."""
        return super().read_until_last_line_matches(patterns, timeout=timeout, internal_timeout=_GATHER_S)


def log_in(vm: Any, address: str, user: str, password: str, timeout: float) -> Any:
    """
    Return a session of *user* in the guest of *vm* (avocado-vt's), which has *address*; tried again for *timeout* seconds.

    aexpect's LoginError with the last reason; a refused password is not tried twice.
    """
    line = ssh_line(address, str(vm.params["shell_port"]), user)
    refused: list[remote.LoginError] = []

    def session() -> Optional[Session]:
        try:
            return opened(line, str(vm.params["shell_prompt"]), f"session-{vm.name}", user, password)
        except remote.LoginAuthenticationError:
            raise
        except remote.LoginError as error:
            refused.append(error)
            return None

    try:
        made = until(session, timeout, "a login", interval=_AGAIN_S)
    except WaitTimeoutError:
        raise refused[-1] from None
    vm.remote_sessions.append(made)
    return made


def ssh_line(address: str, port: str, user: str) -> str:
    """Return the command line, the one of `aexpect.remote.remote_login`: no host key is kept, a password alone lets in."""
    options = ("UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "PreferredAuthentications=password")
    return shlex.join(["ssh", *(f"-o{option}" for option in options), "-p", port, f"{user}@{address}"])


def opened(line: str, prompt: str, log: str, user: str, password: str) -> Session:
    """
    Return the session that the command *line* opens, once the shell shows its *prompt* (regular expression).

    What comes over it is kept in a file of the case's results, whose name begins with *log*, as avocado-vt's sessions do.
    """
    file = utils_logfile.get_log_filename(f"{log}-{time.strftime('%m-%d-%H-%M-%S')}-{secrets.token_hex(2)}.log")
    session = Session(
        line,
        output_func=utils_logfile.log_line,
        output_params=(file,),
        prompt=prompt,
        status_test_command="echo $?",
        username=user,
        password=password,
    )
    try:
        remote.handle_prompts(session, user, password, prompt, _STEP_S)
    except BaseException:
        session.close()
        utils_logfile.close_log_file(file)
        raise
    session.close_hooks += [utils_logfile.close_own_log_file(file)]
    return session
