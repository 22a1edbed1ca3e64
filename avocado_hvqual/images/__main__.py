# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m avocado_hvqual.images build micro | list`."""

from __future__ import annotations

import argparse
import sys

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.images.cli import fill, run


def main() -> int:
    """Do what the command line says; a refusal is one sentence and status 2."""
    parser = argparse.ArgumentParser(prog="python -m avocado_hvqual.images")
    fill(parser)
    try:
        return run(parser.parse_args())
    except HvqualError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
