"""The bars of the project ("must reach"), and whether a run met them. A report, never an assertion.

Each bar names metrics and a rule; a metric's verdict compares medians of alternating rounds of one run. Where single
rounds fall on both sides of the bar, the verdict says so: such a figure is worth another run, not a decision.
"""

import dataclasses
import fnmatch
from typing import Tuple

from .stats import figure

MET, NOT_MET, UNKNOWN = "met", "NOT MET", "not measured"


@dataclasses.dataclass(frozen=True)
class Bar:
    title: str
    metrics: Tuple[str, ...]
    rule: str
    limit: float
    text: str
    modes: Tuple[str, ...] = ("casemate",)


VOLUMES = ("local", "bounded")
AES = "storage.aes"  # what "of AES" means in a rule


def storage_bar(title, metrics, limit, modes=VOLUMES):
    names = tuple("storage." + metric for metric in metrics)
    return Bar("volume: " + title, names, "ratio_at_least", limit, f"at least {limit} x native", modes)


BARS = (
    Bar("CPU-bound program", ("cpu.integer", "cpu.float", "cpu.python"), "ratio_at_most", 1.01,
        "at most 1.01 x native"),
    Bar("pass-through system call, steady state",
        ("syscall.getppid", "syscall.getpid", "syscall.read_zero", "syscall.write_null", "syscall.pread_4k",
         "syscall.clock_gettime", "syscall.futex_wake", "syscall.poll"), "excess_at_most", 40,
        "at most native + 40 ns"),
    Bar("Redis throughput", ("redis.*",), "ratio_at_least", 0.95, "at least 0.95 x native"),
    Bar("memcached throughput", ("memcached.*",), "ratio_at_least", 0.95, "at least 0.95 x native"),
    Bar("nginx throughput", ("nginx.*",), "ratio_at_least", 0.95, "at least 0.95 x native"),
    Bar("PostgreSQL throughput", ("pgbench.*",), "ratio_at_least", 0.95, "at least 0.95 x native"),
    Bar("MariaDB throughput", ("mariadb.*",), "ratio_at_least", 0.95, "at least 0.95 x native"),
    Bar("process start (/bin/true)", ("start.true",), "excess_at_most", 3, "at most native + 3 ms"),
    Bar("fork + exec + wait", ("process.fork_exec", "process.vfork_exec", "process.spawn"), "ratio_at_most", 2,
        "at most 2 x native"),
    Bar("dirty private memory of ours per idle process", ("memory.idle_named", "memory.idle_difference"),
        "value_at_most", 1024, "at most 1 MiB"),
    storage_bar("SQLite single-row commits", ("sqlite_commit", "sqlite_commit_wal"), 0.95),
    storage_bar("SQLite bulk insert, point selects", ("sqlite_insert", "sqlite_select"), 0.90),
    storage_bar("PostgreSQL TPC-B", ("pgbench",), 0.90),
    storage_bar("MariaDB read-write", ("mariadb",), 0.90),
    storage_bar("Redis AOF always", ("redis_aof",), 0.95),
    Bar("volume: sequential 1 GiB", ("storage.write", "storage.read"), "ratio_or_aes_at_least", 0.6,
        "at least 0.6 x native, or 80 % of AES-256-GCM", VOLUMES),
    storage_bar("cached 4 KiB reads", ("cached",), 1.0),
    storage_bar("random 4 KiB write + fdatasync", ("sync",), 1.0),
    storage_bar("create and delete small files", ("files",), 1.0),
    storage_bar("cold random reads", ("cold",), 0.9),
    storage_bar("mapped loads", ("sqlite_mapped", "mapped"), 0.8),
    Bar("volume: start of a dynamic program", ("storage.start",), "ratio_at_most", 1.5, "at most 1.5 x native", VOLUMES),
    Bar("volume: mount of a clean 10 GiB volume", ("storage.mount_read",), "value_at_most", 50,
        "at most 50 ms", ("local",)),
    Bar("volume: recovery after a crash", ("storage.recovery",), "value_at_most", 1000, "at most 1 s", VOLUMES),
    Bar("volume: memory of the engine", ("storage.memory",), "value_at_most", 512 * 1024 * 0.01 + 1024,
        "at most 1 % of the cached bytes + 1 MiB", ("local",)),
)


def measured_by_a_bar(name):
    return name == AES or any(fnmatch.fnmatch(name, pattern) for bar in BARS for pattern in bar.metrics)


def rounds_of(rule, ours, native):
    """The judged quantity of each round."""
    if rule == "value_at_most":
        return ours["samples"]
    pairs = list(zip(native["samples"], ours["samples"]))
    if rule == "excess_at_most":
        return [b - a for a, b in pairs]
    return [b / a for a, b in pairs if a]


def judged_value(rule, ours, native):
    if rule == "value_at_most":
        return ours["median"]
    if rule == "excess_at_most":
        return ours["median"] - native["median"]
    return ours["median"] / native["median"]


def holds(rule, limit, value):
    return value >= limit if rule.endswith("at_least") else value <= limit


def describe(rule, value, unit):
    if rule == "excess_at_most":
        return f"native {'+' if value >= 0 else '-'} {figure(abs(value))} {unit}"
    if rule == "value_at_most":
        return f"{figure(value)} {unit}"
    return f"{value:.3f} x native"


def limit_of(bar, native, aes):
    """The limit, or what a share of the machine's AES speed makes of it where that is lower."""
    if bar.rule == "ratio_or_aes_at_least" and aes and native.get("median"):
        return min(bar.limit, 0.8 * aes / native["median"])
    return bar.limit


def judge(bar, row, modes, name="casemate", aes=None):
    """One verdict: a dictionary for the JSON and the table. What Casemate could not run is not met, not unknown."""
    title = row["title"] if bar.modes == ("casemate",) else f"{row['title']} ({name})"
    verdict = {"bar": bar.title, "must": bar.text, "metric": row["name"], "title": title}
    ours = row["modes"].get(name, {})
    native = row["modes"].get("native", {})
    needs_native = bar.rule != "value_at_most"
    missing = modes.get(name, {"reason": "not part of this run"})["reason"]
    if missing or (needs_native and native.get("failure")):
        return {**verdict, "verdict": UNKNOWN, "found": missing or native["failure"]}
    if ours.get("failure"):
        return {**verdict, "verdict": NOT_MET, "found": ours["failure"]}
    if "samples" not in ours or (needs_native and "samples" not in native):
        return {**verdict, "verdict": UNKNOWN, "found": ""}
    value, limit = judged_value(bar.rule, ours, native), limit_of(bar, native, aes)
    verdict["verdict"] = MET if holds(bar.rule, limit, value) else NOT_MET
    verdict["found"] = describe(bar.rule, value, row["unit"])
    sides = {holds(bar.rule, limit, single) for single in rounds_of(bar.rule, ours, native)}
    if len(sides) == 2:
        verdict["found"] += " (single rounds on both sides of the bar)"
    return verdict


def aes_speed(rows):
    entries = [row["modes"].get("native", {}) for row in rows if row["name"] == AES]
    return entries[0].get("median") if entries else None


def evaluate(rows, modes):
    """Verdicts in the order of the bars; a bar none of whose metrics ran yields one that says so."""
    verdicts = []
    for bar in BARS:
        matching = [row for row in rows for pattern in bar.metrics if fnmatch.fnmatch(row["name"], pattern)]
        if not matching:
            verdicts.append({"bar": bar.title, "must": bar.text, "metric": "", "title": "", "verdict": UNKNOWN,
                             "found": "not part of this run"})
        verdicts += [judge(bar, row, modes, name, aes_speed(rows)) for row in matching for name in bar.modes]
    return verdicts
