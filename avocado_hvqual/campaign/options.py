# SPDX-License-Identifier: GPL-2.0-or-later
"""What a campaign is asked beside its plan: policy, ledger, an overridden gate, a mirror, and who is told of a critical finding at once."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

from avocado_hvqual import load
from avocado_hvqual.campaign import notify
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.ledger import Ledger
from avocado_hvqual.mirror import address
from avocado_hvqual.policy_model import Policy

ON_CRITICAL = (notify.NONE, notify.NOTIFY, notify.STOP)
PATHS = ("policy", "ledger")
TEXTS = ("mirror", "override_gate", "on_critical", "notify_command", "notify_webhook")


@dataclass(frozen=True)
class Asked:
    """The answers, checked before anything runs."""

    policy: Optional[Path] = None
    ledger: Optional[Path] = None
    override: str = ""
    """The operator's reason for going on although a gate is closed; empty when he does not."""
    on_critical: notify.OnCritical = field(default_factory=notify.OnCritical)
    mirror: str = ""
    """Where journal and evidence are sent while the campaign runs; empty for nowhere."""

    def judged_by(self) -> tuple[Policy, Ledger]:
        """Return policy and ledger; DefinitionError with file:line."""
        return load.load_policy(self.policy), load.load_ledger(self.ledger)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options to a verb that runs a campaign."""
    parser.add_argument("--policy", metavar="FILE", help="judge by this policy (default: the shipped one)")
    parser.add_argument("--ledger", metavar="FILE", help="the operator's known issues and waivers")
    parser.add_argument(
        "--mirror", metavar="URI", help="send journal and evidence there while it runs: /path or ssh://user@host/path"
    )
    parser.add_argument(
        "--override-gate",
        metavar="REASON",
        help="begin the next phase although its gate is closed; the verdict says so and is at best QUALIFIED_WITH_WAIVERS",
    )
    parser.add_argument(
        "--on-critical",
        choices=ON_CRITICAL,
        help="tell a critical finding at once; stop: end the phase after that case",
    )
    parser.add_argument(
        "--notify-command",
        metavar="COMMAND",
        help="run this with JSON on stdin; split into words, never given to a shell",
    )
    parser.add_argument("--notify-webhook", metavar="URL", help="POST the same JSON there")


def read(args: argparse.Namespace) -> Asked:
    """Return what the arguments and the policy ask for; DefinitionError for what cannot be done."""
    policy, ledger = (Path(getattr(args, name)) if getattr(args, name) else None for name in PATHS)
    override = args.override_gate
    if override is not None and not override.strip():
        message = "--override-gate takes the reason, which the verdict tells; it was given an empty one."
        raise DefinitionError(message)
    mirror = address.parse(args.mirror).text if args.mirror is not None else ""
    asked = Asked(policy, ledger, (override or "").strip(), mirror=mirror)
    return replace(asked, on_critical=_on_critical(args, asked.judged_by()[0]))


def _on_critical(args: argparse.Namespace, policy: Policy) -> notify.OnCritical:
    """Return what the policy says, and the arguments where they say something else."""
    command = args.notify_command if args.notify_command is not None else policy.on_critical.command
    webhook = args.notify_webhook if args.notify_webhook is not None else policy.on_critical.webhook
    to_tell = bool(command or webhook)
    default = notify.NOTIFY if args.notify_command or args.notify_webhook else notify.NONE
    action = args.on_critical or (policy.on_critical.action if policy.on_critical.action != notify.NONE else default)
    if action == notify.NOTIFY and not to_tell:
        message = (
            "--on-critical notify needs --notify-command or --notify-webhook, or the policy's: nobody would be told."
        )
        raise DefinitionError(message)
    return notify.OnCritical(
        action, notify.parse_command(command) if command else (), notify.parse_webhook(webhook) if webhook else ""
    )


def words(args: argparse.Namespace) -> list[str]:
    """Return the options as words of a command line, for the same command elsewhere on this machine."""
    found = []
    for name in (*PATHS, *TEXTS):
        value = getattr(args, name)
        if value is not None:
            text = str(Path(value).absolute()) if name in PATHS else value
            found.append(f"--{name.replace('_', '-')}={text}")
    return found
