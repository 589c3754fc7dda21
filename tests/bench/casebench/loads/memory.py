"""Memory an idle process costs: dirty private memory of `sleep` natively and under the runtime.

Two figures for the runtime, because neither alone is the truth: the mappings that carry its name, and the difference of
the totals (which also counts anonymous memory that has no name, and the noise of address layout).
"""

import re
import signal
import subprocess
import time

from ..launch import end_leftovers
from ..model import LOWER, Load, MeasurementFailed, Metric

RUNTIME_NAME = re.compile(r"casemate")


def is_asleep(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            state = file.read().rsplit(")", 1)[1].split()[0]
        with open(f"/proc/{pid}/maps", encoding="ascii") as file:
            return state == "S" and "/sleep" in file.read()
    except (OSError, IndexError):
        return False


def wait_until_idle(process):
    calm = 0
    for _ in range(200):
        if process.poll() is not None:
            raise MeasurementFailed(f"sleep ended with {process.returncode}")
        calm = calm + 1 if is_asleep(process.pid) else 0
        if calm >= 5:
            return
        time.sleep(0.02)
    raise MeasurementFailed("sleep did not come to rest")


def rollup_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"Private_Dirty:\s+(\d+)", file.read()).group(1))


def dirty_by_mapping(pid):
    """Private dirty KiB by mapping name."""
    sums = {}
    name = ""
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            heading = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)", line)
            if heading:
                name = heading.group(1) or "[anonymous]"
            elif line.startswith("Private_Dirty:"):
                sums[name] = sums.get(name, 0) + int(line.split()[1])
    return sums


def measure_idle(context, mode):
    process = subprocess.Popen(mode.command(["/usr/bin/sleep", "1000"]), stdin=subprocess.DEVNULL)
    try:
        wait_until_idle(process)
        total = rollup_kib(process.pid)
        mappings = dirty_by_mapping(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        end_leftovers()
    listed = sorted(((kib, name) for name, kib in mappings.items() if kib), reverse=True)
    context.note(mode, "dirty KiB: " + ", ".join(f"{name} {kib}" for kib, name in listed))
    results = {"memory.idle_total": total}
    if mode.name == "native":
        context.store["native total"] = total
    else:
        results["memory.idle_named"] = sum(kib for name, kib in mappings.items() if RUNTIME_NAME.search(name))
        results["memory.idle_difference"] = total - context.store["native total"]
    return results


LOADS = (
    Load("memory", (Metric("memory.idle_total", "dirty private memory of an idle sleep", "KiB", LOWER),
                    Metric("memory.idle_named", "... in mappings named after the runtime", "KiB", LOWER),
                    Metric("memory.idle_difference", "... difference to native", "KiB", LOWER)),
         measure_idle, modes=("native", "casemate")),
)
