# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory and CPUs as the kernel gives them to guests: huge pages, transparent huge pages, KSM, CPU masks and governors."""

from __future__ import annotations

from provider.hvqual.node_items.source import Source
from provider.hvqual.settings_file import choice

_MM = "/sys/kernel/mm"
_CPU = "/sys/devices/system/cpu"
_NODE = "/sys/devices/system/node"
# What khugepaged and ksmd count; all else there is set by somebody.
_THP_COUNTS = {"full_scans", "pages_collapsed", "hpage_pmd_size"}
_KSM_SETTINGS = {
    "run",
    "pages_to_scan",
    "sleep_millisecs",
    "merge_across_nodes",
    "max_page_sharing",
    "stable_node_chains_prune_millisecs",
    "use_zero_pages",
    "smart_scan",
    "advisor_mode",
    "advisor_max_cpu",
    "advisor_min_pages_to_scan",
    "advisor_max_pages_to_scan",
    "advisor_target_scan_time",
}
_CPU_MASKS = ("online", "offline", "isolated", "nohz_full", "smt/control", "intel_pstate/no_turbo", "cpufreq/boost")
_GOVERNOR = ("scaling_governor", "scaling_min_freq", "scaling_max_freq", "energy_performance_preference")


def _lines(pairs: dict[str, str | None]) -> list[str]:
    return [f"{key} = {choice(value)}" for key, value in pairs.items() if value is not None]


def hugepages(source: Source) -> list[str]:
    """For each size, on the whole and for each NUMA node: pages, pages in use, over-commit."""
    lines = _pool(source, f"{_MM}/hugepages", "")
    for node in source.names(_NODE):
        lines += _pool(source, f"{_NODE}/{node}/hugepages", f"{node} ")
    return lines or ["none = this kernel has no huge pages"]


def _pool(source: Source, folder: str, prefix: str) -> list[str]:
    lines = []
    for name in source.names(folder):
        total, free = (source.setting(f"{folder}/{name}/{file}") for file in ("nr_hugepages", "free_hugepages"))
        over = source.setting(f"{folder}/{name}/nr_overcommit_hugepages")
        key = f"{prefix}{name[len('hugepages-') :]}"
        lines += [f"{key} nr = {total}", f"{key} in use = {int(total or 0) - int(free or 0)}"]
        lines += [f"{key} overcommit = {over}"] if over is not None else []
    return lines


def thp(source: Source) -> list[str]:
    """Settings of transparent huge pages and khugepaged."""
    folder = f"{_MM}/transparent_hugepage"
    pairs = {name: source.setting(f"{folder}/{name}") for name in source.names(folder) if name not in _THP_COUNTS}
    for name in source.names(f"{folder}/khugepaged"):
        if name not in _THP_COUNTS:
            pairs[f"khugepaged {name}"] = source.setting(f"{folder}/khugepaged/{name}")
    return _lines(pairs) or ["none = this kernel has no transparent huge pages"]


def ksm(source: Source) -> list[str]:
    """Settings of kernel same-page merging."""
    names = [name for name in source.names(f"{_MM}/ksm") if name in _KSM_SETTINGS]
    advised = (source.setting(f"{_MM}/ksm/advisor_mode") or "").find("[none]") < 0 and "advisor_mode" in names
    # With an advisor the kernel itself moves the number of pages to scan.
    pairs = {name: source.setting(f"{_MM}/ksm/{name}") for name in names if not (advised and name == "pages_to_scan")}
    return _lines(pairs) or ["none = this kernel has no KSM"]


def cpus(source: Source) -> list[str]:
    """CPU masks, SMT, frequency governors, and memory blocks that are off line."""
    pairs = {name: source.setting(f"{_CPU}/{name}") for name in _CPU_MASKS}
    for policy in source.names(f"{_CPU}/cpufreq"):
        for name in _GOVERNOR:
            pairs[f"{policy} {name}"] = source.setting(f"{_CPU}/cpufreq/{policy}/{name}")
    memory = "/sys/devices/system/memory"
    pairs["auto_online_blocks"] = source.setting(f"{memory}/auto_online_blocks")
    offline = [
        name
        for name in source.names(memory)
        if name.startswith("memory") and source.setting(f"{memory}/{name}/state") == "offline"
    ]
    pairs["offline memory blocks"] = " ".join(offline) or "none"
    return _lines(pairs)
