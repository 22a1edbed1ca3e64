# SPDX-License-Identifier: GPL-2.0-or-later
"""An answer is that of its own command, whole, whatever else comes over the session; held with a real shell."""

from __future__ import annotations

import aexpect
import pytest

from provider.hvqual import conversation


def opened(shell):
    """Open a session to *shell* with the guests' prompt."""
    line = f"env TERM=dumb PS1='[root@micro ~]# ' {shell}"
    return aexpect.ShellSession(line, prompt=r"^\[root@micro [^\]]*\]# $")


@pytest.fixture(params=["bash --norc --noediting", "bash --norc", "sh"])
def shell(request):
    """A shell of each kind that guests have: with a line editor, which echoes, and without."""
    session = opened(request.param)
    yield session
    session.close()


def ask(session, command, timeout=10):
    return conversation.ask(session, command, timeout)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("echo one; echo two", (0, "one\ntwo\n")),
        ("printf 'no newline'", (0, "no newline")),
        ("false", (1, "")),
        ("(exit 37)", (37, "")),
        ('echo "it\'s" \'a "word"\'', (0, 'it\'s a "word"\n')),
        ("echo a # not a remark's end", (0, "a\n")),
        ("sleep 0 &", (0, None)),
        ("for n in 1 2; do echo $n; done", (0, "1\n2\n")),
        ("echo '[root@micro ~]# '; echo 0", (0, "[root@micro ~]# \n0\n")),
        ("seq 20000 | tr -d '\\n' | tail -c 1000", (0, "".join(map(str, range(1, 20001)))[-1000:])),
    ],
)
def test_status_and_output_are_those_of_the_command(shell, command, answer):
    status, output = ask(shell, command)
    assert status == answer[0]
    assert answer[1] is None or output == answer[1]


def test_a_long_answer_is_whole(shell):
    """Of 39 KiB: beyond 64 KiB aexpect 1.8.0 itself stands still now and then."""
    assert ask(shell, "seq 8000") == (0, "".join(f"{n}\n" for n in range(1, 8001)))


def test_long_commands_one_after_the_other_arrive_whole():
    """Longer than a terminal's line, which only a shell with a line editor takes, and not before it has shown its prompt."""
    session = aexpect.ShellSession(
        "env TERM=dumb PS1='[root@micro ~]# ' bash --norc", prompt=r"^\[root@micro [^\]]*\]# $"
    )
    try:
        assert ask(session, "true") == (0, "")
        for turn in range(20):
            assert ask(session, f"true {'x' * 6000}; echo {turn}") == (0, f"{turn}\n")
    finally:
        session.close()


def test_what_the_shell_says_of_jobs_before_its_prompt_is_no_part_of_the_answer():
    """A line longer than a screen's between the mark of the end and the prompt: a job in the background has ended."""
    session = opened("bash --norc")
    try:
        for _ in range(10):
            status, output = ask(session, f": {'x' * 600} & sleep 0.01; echo answer")
            assert (status, output.splitlines()[-1]) == (0, "answer")
    finally:
        session.close()


def test_a_job_that_ends_meanwhile_says_nothing_into_an_answer(shell):
    """Seen: an answer of 'cat' had the command line of a job in it, and with it the word that was looked for."""
    for turn in range(5):
        assert ask(shell, "sh -c 'sleep 0.3; : ended' < /dev/null > /dev/null 2>&1 &")[0] == 0
        assert ask(shell, f"echo {turn}; sleep 0.5; true; echo behind") == (0, f"{turn}\nbehind\n")


def test_what_one_command_leaves_is_there_for_the_next(shell):
    assert ask(shell, "cd /proc && left=behind") == (0, "")
    assert ask(shell, "pwd; echo $left") == (0, "/proc\nbehind\n")


def test_a_late_answer_is_not_the_next_ones(shell):
    """Given up too early, the first command writes into the answer to the second."""
    with pytest.raises(aexpect.ExpectTimeoutError):
        ask(shell, "sleep 0.6; echo first; false", timeout=0.2)
    assert ask(shell, "echo second") == (0, "second\n")


def test_a_session_that_ended_is_told(shell):
    with pytest.raises(aexpect.ExpectError):
        ask(shell, "exit 3", timeout=5)
