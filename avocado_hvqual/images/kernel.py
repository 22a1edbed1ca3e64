# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel for guests: the distribution's own for virtual machines, installed or fetched, with its modules."""

from __future__ import annotations

import dataclasses
import hashlib
import lzma
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from avocado_hvqual.errors import ImageError

#: Packages that stand for the newest such kernel: Debian's, then Ubuntu's.
_META_PACKAGES = ("linux-image-cloud-amd64", "linux-image-virtual", "linux-image-kvm")
#: Ends of the names of installed kernels that will do, the smallest first.
_FLAVOURS = ("-cloud-amd64", "-kvm", "-virtual", "-generic", "-amd64")
_DOWNLOAD_TIMEOUT = 300.0


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel: *release* as uname says it, *version* of its package, *image* to boot, *modules* the folder with modules.dep."""

    release: str
    version: str
    image: Path
    modules: Path

    @property
    def configuration(self) -> Path:
        """The file with the options of its build, which distributions put beside it."""
        return self.image.with_name(f"config-{self.release}")


def find(cache: Path) -> Kernel:
    """Return an installed kernel if there is one, else the distribution's, fetched into *cache* on first use."""
    return installed() or cached(cache) or fetch(cache)


def installed(root: Path = Path("/")) -> Kernel | None:
    """Return the newest suitable kernel of this machine that has its modules."""
    for flavour in _FLAVOURS:
        for image in sorted(
            (root / "boot").glob(f"vmlinuz-*{flavour}"), key=lambda path: _numbers(path.name), reverse=True
        ):
            release = image.name[len("vmlinuz-") :]
            modules = root / "lib/modules" / release
            if (modules / "modules.dep").is_file():
                return Kernel(release, release, image, modules)
    return None


def cached(cache: Path) -> Kernel | None:
    """Return the kernel that was fetched for the package that would be fetched now, if it is in *cache*."""
    name = wanted_package()
    if name is None:
        return _newest_in(cache)
    folder = cache / f"{name}_{_candidate(name)}".replace(":", "%3a")
    return _unpacked(folder) if (folder / "complete").exists() else None


def fetch(cache: Path) -> Kernel:
    """Download the distribution's kernel for virtual machines and unpack it into *cache*."""
    name = wanted_package()
    if name is None:
        msg = f"None of {', '.join(_META_PACKAGES)} is known to apt; run 'apt-get update'."
        raise ImageError(msg)
    folder = cache / f"{name}_{_candidate(name)}".replace(":", "%3a")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as work:
        _run(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *_with_modules(name)],
            "download the kernel",
            Path(work),
        )
        tree = Path(work) / "tree"
        for package in sorted(Path(work).glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(tree)], "unpack the kernel", Path(work))
        kernel = _unpacked(tree, need_index=False)
        _run(["depmod", "-b", str(_module_base(tree)), kernel.release], "index the kernel's modules", Path(work))
        (tree / "complete").touch()
        shutil.rmtree(folder, ignore_errors=True)
        tree.rename(folder)
    return _unpacked(folder)


def packed(package: Path, cache: Path) -> Kernel:
    """Return the kernel in the file of a package, as ``scripts/build-kernel`` makes it, unpacked into *cache* by its content."""
    try:
        content = hashlib.sha256(package.read_bytes()).hexdigest()
    except OSError as error:
        msg = f"The kernel's package '{package}' cannot be read ({error.strerror}); give the .deb that scripts/build-kernel made."
        raise ImageError(msg) from error
    folder = cache / f"own-{content[:16]}"
    if not (folder / "complete").exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="unpack-") as work:
            tree = Path(work) / "tree"
            _run(["dpkg-deb", "-x", str(package.absolute()), str(tree)], "unpack the kernel's package", Path(work))
            if not list(tree.glob("boot/vmlinuz-*")):
                msg = f"'{package}' holds no boot/vmlinuz-*: it is no kernel's package; give the .deb that scripts/build-kernel made."
                raise ImageError(msg)
            (tree / "complete").touch()
            shutil.rmtree(folder, ignore_errors=True)
            tree.rename(folder)
    return dataclasses.replace(_unpacked(folder), version=content)


def wanted_package() -> str | None:
    """Return the name of the package that holds the newest kernel for virtual machines, None if apt knows of none."""
    for meta in _META_PACKAGES:
        found = [name for name in _depends(meta) if re.match(r"linux-image-(unsigned-)?\d", name)]
        if found:
            return found[0]
    return None


def _with_modules(name: str) -> list[str]:
    """Return *name* and the package of its modules, which Ubuntu keeps apart."""
    return [name, *(other for other in _depends(name) if re.match(r"linux-modules-\d", other))]


def _depends(package: str) -> list[str]:
    """Return what *package* depends on, nothing if apt does not know it."""
    line = ["apt-cache", "depends", "--no-recommends", "--no-suggests", "--important", package]
    run = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return re.findall(r"^\s+\|?Depends: ([^<\s]\S*)", run.stdout, re.MULTILINE)


def _candidate(package: str) -> str:
    """Return the version that apt would fetch."""
    run = subprocess.run(
        ["apt-cache", "policy", package], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    found = re.search(r"^\s+Candidate: (\S+)", run.stdout, re.MULTILINE)
    if found is None or found.group(1) == "(none)":
        msg = f"apt offers no version of {package}; run 'apt-get update'."
        raise ImageError(msg)
    return found.group(1)


def _newest_in(cache: Path) -> Kernel | None:
    """Return the newest complete kernel in *cache*, for a machine whose package lists are gone."""
    complete = sorted((path.parent for path in cache.glob("linux-*/complete")), key=lambda path: _numbers(path.name))
    return _unpacked(complete[-1]) if complete else None


def _unpacked(folder: Path, *, need_index: bool = True) -> Kernel:
    """Return the kernel that lies unpacked in *folder*."""
    images = sorted((folder / "boot").glob("vmlinuz-*"))
    if not images:
        msg = f"{folder} holds no boot/vmlinuz-*; remove it, so that it is fetched again."
        raise ImageError(msg)
    release = images[0].name[len("vmlinuz-") :]
    modules = _module_base(folder) / "lib/modules" / release
    if not modules.is_dir() or (need_index and not (modules / "modules.dep").is_file()):
        msg = f"{modules} holds no modules of the kernel; remove {folder}, so that it is fetched again."
        raise ImageError(msg)
    return Kernel(release, folder.name, images[0], modules)


def _module_base(folder: Path) -> Path:
    """Return the folder whose lib/modules holds the modules: a distribution with a merged /usr packs them below usr."""
    return folder if (folder / "lib/modules").is_dir() else folder / "usr"


def _run(line: list[str], purpose: str, folder: Path) -> None:
    """Run a program of the distribution; raise `ImageError` with its last words if it fails."""
    try:
        run = subprocess.run(
            line,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        msg = f"'{' '.join(line)}' (to {purpose}) did not end within {_DOWNLOAD_TIMEOUT:g} s."
        raise ImageError(msg) from error
    if run.returncode != 0:
        msg = f"'{' '.join(line)}' (to {purpose}) failed with status {run.returncode}: {run.stderr.strip()[-300:]}"
        raise ImageError(msg)


def _numbers(name: str) -> list[int]:
    """Return the numbers in *name*, by which versions are compared."""
    return [int(number) for number in re.findall(r"\d+", name)]


def module_files(kernel: Kernel, wanted: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Return the files of the modules *wanted* with what they depend on, in loading order, and the names that the kernel lacks."""
    depends = parse_dependencies((kernel.modules / "modules.dep").read_text(encoding="utf-8"))
    by_name = {module_name(path): path for path in depends}
    built_in = {module_name(line) for line in (kernel.modules / "modules.builtin").read_text(encoding="utf-8").split()}
    ordered: dict[str, None] = {}
    missing = []
    for name in wanted:
        if name in by_name:
            path = by_name[name]
            ordered.update(dict.fromkeys([*reversed(depends[path]), path]))
        elif name not in built_in:
            missing.append(name)
    return [kernel.modules / path for path in ordered], missing


def parse_dependencies(text: str) -> dict[str, list[str]]:
    """Return modules.dep as module -> those that it needs, the ones to load last first."""
    rows = (line.partition(":") for line in text.splitlines() if line.strip())
    return {module: needed.split() for module, _, needed in rows}


def module_name(path: str) -> str:
    """Return the name of the module in file *path*: virtio-rng.ko.zst is virtio_rng."""
    return Path(path).name.split(".", 1)[0].replace("-", "_")


def read_module(path: Path) -> bytes:
    """Return a module as the kernel loads it, uncompressed."""
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".zst":
        return subprocess.run(
            ["zstd", "-dcq", str(path)], stdin=subprocess.DEVNULL, capture_output=True, check=True
        ).stdout
    return path.read_bytes()


def digest(kernel: Kernel) -> str:
    """Return what tells this kernel from any other."""
    return hashlib.sha256(f"{kernel.release} {kernel.version} {kernel.image.stat().st_size}".encode()).hexdigest()
