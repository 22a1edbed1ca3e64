# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of golden images: which distributions, which ways of making one, of what, and which of them were ever run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avocado_hvqual.errors import ImageError
from avocado_hvqual.load import document

TABLE = Path(__file__).with_name("table.yaml")


@dataclass(frozen=True)
class System:
    """A distribution: where its packages are found and how its kernel for guests is called."""

    name: str
    title: str
    suite: str
    kernel: str
    keyring: str
    components: tuple[str, ...]
    suites: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """A way to make an image of one distribution, and whether it was ever run to its end."""

    recipe: str
    system: str
    executed: bool
    note: str

    def told(self) -> str:
        """Return the row as a reader gets it."""
        return f"{self.recipe} of {self.system}: {'executed' if self.executed else 'not executed'}. {self.note}"


@dataclass(frozen=True)
class Trimmed:
    """A unit that never starts in the guest, and why."""

    unit: str
    why: str


@dataclass(frozen=True)
class Table:
    """The whole table."""

    systems: tuple[System, ...]
    recipes: tuple[Recipe, ...]
    packages: tuple[str, ...]
    where_packed: tuple[str, ...]
    initrd_modules: tuple[str, ...]
    trimmed: tuple[Trimmed, ...]

    def system(self, name: str) -> System:
        """Return the distribution *name*; `ImageError` names those that there are."""
        for system in self.systems:
            if system.name == name:
                return system
        msg = f"There is no distribution '{name}' in the table; it has {', '.join(system.name for system in self.systems)}."
        raise ImageError(msg)

    def recipe(self, recipe: str, system: str) -> Recipe:
        """Return the row of *recipe* and *system*; `ImageError` when the table has none."""
        for row in self.recipes:
            if (row.recipe, row.system) == (recipe, system):
                return row
        rows = ", ".join(f"{row.recipe} of {row.system}" for row in self.recipes)
        msg = f"There is no recipe '{recipe}' of '{system}' in the table; it has {rows}."
        raise ImageError(msg)


def load(path: Path = TABLE) -> Table:
    """Return the table in *path*; DefinitionError with file:line when it is not one."""
    data = document(path, "golden").data
    packages = data["packages"]
    return Table(
        systems=tuple(
            System(**{"name": name, **row, "components": tuple(row["components"]), "suites": tuple(row["suites"])})
            for name, row in data["systems"].items()
        ),
        recipes=tuple(Recipe(**row) for row in data["recipes"]),
        packages=(*packages["base"], *packages["test"]),
        where_packed=tuple(packages["where_packed"]),
        initrd_modules=tuple(data["initrd_modules"]),
        trimmed=tuple(Trimmed(**row) for row in data["trimmed"]),
    )
