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
)


def measured_by_a_bar(name):
    return any(fnmatch.fnmatch(name, pattern) for bar in BARS for pattern in bar.metrics)


def rounds_of(rule, casemate, native):
    """The judged quantity of each round."""
    if rule == "value_at_most":
        return casemate["samples"]
    pairs = list(zip(native["samples"], casemate["samples"]))
    if rule == "excess_at_most":
        return [b - a for a, b in pairs]
    return [b / a for a, b in pairs if a]


def judged_value(rule, casemate, native):
    if rule == "value_at_most":
        return casemate["median"]
    if rule == "excess_at_most":
        return casemate["median"] - native["median"]
    return casemate["median"] / native["median"]


def holds(rule, limit, value):
    return value >= limit if rule == "ratio_at_least" else value <= limit


def describe(rule, value, unit):
    if rule == "excess_at_most":
        return f"native {'+' if value >= 0 else '-'} {figure(abs(value))} {unit}"
    if rule == "value_at_most":
        return f"{figure(value)} {unit}"
    return f"{value:.3f} x native"


def judge(bar, row, modes):
    """One verdict: a dictionary for the JSON and the table. What Casemate could not run is not met, not unknown."""
    verdict = {"bar": bar.title, "must": bar.text, "metric": row["name"], "title": row["title"]}
    casemate = row["modes"].get("casemate", {})
    native = row["modes"].get("native", {})
    needs_native = bar.rule != "value_at_most"
    missing = modes["casemate"]["reason"]
    if missing or (needs_native and native.get("failure")):
        return {**verdict, "verdict": UNKNOWN, "found": missing or native["failure"]}
    if casemate.get("failure"):
        return {**verdict, "verdict": NOT_MET, "found": casemate["failure"]}
    if "samples" not in casemate or (needs_native and "samples" not in native):
        return {**verdict, "verdict": UNKNOWN, "found": ""}
    value = judged_value(bar.rule, casemate, native)
    verdict["verdict"] = MET if holds(bar.rule, bar.limit, value) else NOT_MET
    verdict["found"] = describe(bar.rule, value, row["unit"])
    sides = {holds(bar.rule, bar.limit, single) for single in rounds_of(bar.rule, casemate, native)}
    if len(sides) == 2:
        verdict["found"] += " (single rounds on both sides of the bar)"
    return verdict


def evaluate(rows, modes):
    """Verdicts in the order of the bars; a bar none of whose metrics ran yields one that says so."""
    verdicts = []
    for bar in BARS:
        matching = [row for row in rows for pattern in bar.metrics if fnmatch.fnmatch(row["name"], pattern)]
        if not matching:
            verdicts.append({"bar": bar.title, "must": bar.text, "metric": "", "title": "", "verdict": UNKNOWN,
                             "found": "not part of this run"})
        verdicts += [judge(bar, row, modes) for row in matching]
    return verdicts
