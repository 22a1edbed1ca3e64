# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is told at once: a command that gets JSON on stdin, a webhook that gets it by POST. Each has its time, and neither can raise."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any, Optional

from avocado_hvqual.errors import DefinitionError

NONE, NOTIFY, STOP = "none", "notify", "stop"
COMMAND_SECONDS = 30.0
WEBHOOK_SECONDS = 10.0
TRIES = 3
PAUSE_SECONDS = 1.0
"""Before the second try of a webhook; before the third it is twice that."""


@dataclass(frozen=True)
class OnCritical:
    """What is done when a critical finding appears: nothing, tell it, or tell it and end the phase after the case that runs."""

    action: str = NONE
    command: tuple[str, ...] = ()
    """Words of a command line; no shell ever sees them."""
    webhook: str = ""

    @property
    def host(self) -> str:
        """The webhook as it may be told to others: its path and its query often hold a secret."""
        parts = urllib.parse.urlsplit(self.webhook)
        return f"{parts.scheme}://{parts.hostname or '?'}/..."


def parse_command(text: str) -> tuple[str, ...]:
    """Return the words of a command, split as a shell would; DefinitionError for an unended quote or a program that is not there."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        message = f"--notify-command was given '{text}', which cannot be split into words: {error}."
        raise DefinitionError(message) from error
    if not words or shutil.which(words[0]) is None:
        message = f"--notify-command was given '{text}'; expected a program that can be run and its arguments."
        raise DefinitionError(message)
    return words


def parse_webhook(text: str) -> str:
    """Return the URL; DefinitionError unless it is an http or https one with a host."""
    try:
        parts = urllib.parse.urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or any(sign.isspace() or ord(sign) < ord(" ") for sign in text):
        message = f"--notify-webhook was given '{text}'; expected http://HOST/... or https://HOST/..."
        raise DefinitionError(message)
    return text


def tell(on: OnCritical, news: dict[str, Any], ended: threading.Event) -> tuple[list[str], list[str]]:
    """Return what was told it (``command``, ``webhook``) and a sentence for each that could not; *ended* cuts pauses short."""
    text = json.dumps(news, sort_keys=True) + "\n"
    told: list[str] = []
    problems: list[str] = []
    for name, given, send in (("command", on.command, _run), ("webhook", on.webhook, _post)):
        if given:
            problem = send(on, text, ended)
            (problems if problem else told).append(problem or name)
    return told, problems


def _run(on: OnCritical, text: str, _ended: threading.Event) -> Optional[str]:
    name = on.command[0]
    try:
        process = subprocess.Popen(
            on.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return f"The command '{name}' cannot be run: {error.strerror}."
    try:
        _out, said = process.communicate(text, timeout=COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        _end(process)
        return f"The command '{name}' did not end in {COMMAND_SECONDS:g} s and was killed."
    if process.returncode:
        return f"The command '{name}' ended with {process.returncode}: {said.strip()[:200] or 'it said nothing'}"
    return None


def _end(process: subprocess.Popen[str]) -> None:
    """Kill the command with all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.wait()


class _Stay(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: a finding goes to whom it was addressed."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nobody."""


def _post(on: OnCritical, text: str, ended: threading.Event) -> Optional[str]:
    opener = urllib.request.build_opener(_Stay)
    why = ""
    for number in range(TRIES):
        if number:
            ended.wait(PAUSE_SECONDS * number)
        request = urllib.request.Request(on.webhook, text.encode(), {"Content-Type": "application/json"})  # noqa: S310 - http and https alone
        try:
            with opener.open(request, timeout=WEBHOOK_SECONDS):
                return None
        except urllib.error.HTTPError as error:
            why = f"it answered {error.code}"
        except (OSError, ValueError) as error:
            why = str(getattr(error, "reason", error))
    return f"The webhook {on.host} could not be told in {TRIES} tries: {why}."
