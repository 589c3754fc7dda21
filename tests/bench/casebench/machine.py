"""What the figures were measured on."""

import datetime
import os
import platform
import re
import subprocess

BUSY_LOAD = 0.7


def processor_name():
    """Virtual machines often hide the model name; family, model and stepping still tell the generation."""
    fields = {}
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if not line.strip():
                break
            key, _, value = line.partition(":")
            fields[key.strip()] = value.strip()
    name = fields.get("model name", "unknown processor")
    identity = "/".join(fields.get(key, "?") for key in ("cpu family", "model", "stepping"))
    return re.sub(r"\s+", " ", f"{name} (family/model/stepping {identity})")


def git(repository, *arguments):
    done = subprocess.run(["git", "-C", repository, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False)
    return done.stdout.strip()


def commit(repository):
    name = git(repository, "rev-parse", "--short=12", "HEAD") or "no git commit"
    changed = git(repository, "status", "--porcelain", "--untracked-files=no")
    return name + (" with local changes" if changed else "")


def describe(repository):
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(re.search(r"MemTotal:\s+(\d+)", file.read()).group(1))
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / (1 << 20), 1),
        "kernel": platform.release(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "commit": commit(repository),
    }


def line(machine):
    load = " ".join(f"{value:.2f}" for value in machine["load_average"])
    text = (f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
            f"Linux {machine['kernel']}, load average {load}, {machine['date']}, "
            f"checkout at commit {machine['commit']}")
    if machine["load_average"][0] > BUSY_LOAD:
        text += " - THE MACHINE WAS NOT IDLE"
    return text
