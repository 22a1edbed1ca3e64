# SPDX-License-Identifier: GPL-2.0-or-later
"""A campaign's folder, a policy and a ledger into a Qualification: the one way there, for every verb; it needs no node."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Optional

from avocado_hvqual import load, loader
from avocado_hvqual.judge import judge
from avocado_hvqual.ledger_logs import looked_up
from avocado_hvqual.model.qualification import Qualification


def judge_folder(
    folder: Path, policy: Optional[Path] = None, ledger: Optional[Path] = None, today: Optional[dt.date] = None
) -> Qualification:
    """
    Return what the judge says of what lies in a folder now: the same for the same files, policy, ledger and day.

    HvqualError for a folder that is no campaign's, and for a wrong policy or ledger (the sentence begins with file:line).
    """
    by, known = load.load_policy(policy), load.load_ledger(ledger)
    campaign = loader.load_campaign(folder)
    day = today or dt.date(*time.gmtime()[:3])
    return judge(campaign, by, looked_up(known, campaign, folder), day)
