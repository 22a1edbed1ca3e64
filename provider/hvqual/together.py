# SPDX-License-Identifier: GPL-2.0-or-later
"""The same operation on many VMs at once, as a cloud does it; whatever fails is told by the name of its VM."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Protocol, TypeVar

from avocado.core.exceptions import TestBaseException, TestCancel, TestError, TestFail

MOST_AT_ONCE = 32
# Of several outcomes the worst is the case's: the product failed, the test could not, the node cannot.
WORST_FIRST: dict[str, Callable[[str], BaseException]] = {"FAIL": TestFail, "ERROR": TestError, "CANCEL": TestCancel}


class Named(Protocol):
    """Whatever carries the name of a VM."""

    name: str


G = TypeVar("G", bound=Named)
T = TypeVar("T")


def each(guests: Sequence[G], do: Callable[[G], T], at_once: int = 0) -> list[T]:
    """
    Return what *do* returns for each of *guests*, done on *at_once* of them at a time (0: on all); all of them end before this does.

    When some fail, one exception of the worst kind tells all of their messages, each with its VM's name.
    """
    if len(guests) < 2:  # noqa: PLR2004 - one or none need no threads
        return [do(guest) for guest in guests]
    workers = min(len(guests), at_once or MOST_AT_ONCE, MOST_AT_ONCE)
    with ThreadPoolExecutor(workers, thread_name_prefix="hvqual-vm") as pool:
        futures = [pool.submit(do, guest) for guest in guests]
    failed = [(guest.name, error) for guest, future in zip(guests, futures) if (error := future.exception())]
    if failed:
        raise _worst(failed, len(guests)) from failed[0][1]
    return [future.result() for future in futures]


def _worst(failed: Sequence[tuple[str, BaseException]], count: int) -> BaseException:
    """Return one exception for all of *failed*."""
    told = "; ".join(_told(name, error) for name, error in failed)
    message = told if len(failed) == 1 else f"{len(failed)} of {count} VMs: {told}"
    kinds = {getattr(error, "status", "ERROR") for _, error in failed}
    worst = next((status for status in WORST_FIRST if status in kinds), "ERROR")
    return WORST_FIRST[worst](message)


def _told(name: str, error: BaseException) -> str:
    text = str(error) if isinstance(error, TestBaseException) else f"{type(error).__name__}: {error}"
    return text if name in text else f"'{name}': {text}"
