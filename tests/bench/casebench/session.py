"""Runs loads in all their modes, alternating in one run, and collects samples.

A round measures every mode once; the order rotates from round to round, so that no mode always runs on the machine
another one warmed up. A mode that fails once is not tried again in that load: its reason takes the place of a figure.
"""

import os
import shutil
import subprocess
import sys
import time

from . import stats
from .launch import end_leftovers
from .model import Context, MeasurementFailed, find_program, make_directory

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
MICRO = os.path.join(REPOSITORY, "tests", "bench", "micro")
COMPILER_OPTIONS = ["-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
EXTRA_OPTIONS = {"empty": ["-static"], "sqlite_load": ["-lsqlite3"]}


def progress(text):
    print(text, file=sys.stderr, flush=True)


def compile_micro(directory):
    """Compiles what is older than its source; returns {program: reason} of those that do not compile."""
    os.makedirs(directory, exist_ok=True)
    header = os.path.getmtime(os.path.join(MICRO, "harness.h"))
    failures = {}
    for source in sorted(os.listdir(MICRO)):
        name, extension = os.path.splitext(source)
        if extension != ".c":
            continue
        path, output = os.path.join(MICRO, source), os.path.join(directory, name)
        if os.path.exists(output) and os.path.getmtime(output) > max(header, os.path.getmtime(path)):
            continue
        command = ["gcc", *COMPILER_OPTIONS, "-o", output, path, *EXTRA_OPTIONS.get(name, [])]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            failures[name] = done.stderr.strip()
    return failures


class Session:
    """One run of the harness."""

    def __init__(self, modes, rounds, peer_rounds, quick, binaries):
        self.modes = modes
        self.rounds = rounds
        self.peer_rounds = peer_rounds
        self.quick = quick
        self.binaries = binaries

    def run(self, loads):
        results = []
        for number, load in enumerate(loads, 1):
            begin = time.monotonic()
            progress(f"[{number}/{len(loads)}] {load.name}")
            results += self.run_load(load)
            progress(f"    {time.monotonic() - begin:.1f} s")
        return results

    def run_load(self, load):
        directory = make_directory("casemate-bench-")
        context = Context(self.binaries, self.quick, directory)
        try:
            missing = [name for name in load.needs if not find_program(name)]
            if missing:
                failures = {name: "not installed: " + ", ".join(missing) for name in load.modes}
                return self.rows(load, {}, failures, context)
            failures = {name: self.modes[name].reason for name in load.modes if not self.modes[name].available}
            return self.rows(load, *self.measure_rounds(load, context, failures), context)
        finally:
            context.exits.close()
            shutil.rmtree(directory, ignore_errors=True)

    def measure_rounds(self, load, context, failures):
        samples = {}
        try:
            if load.prepare:
                load.prepare(context)
        except (MeasurementFailed, OSError) as error:
            return samples, {name: f"preparation: {error}" for name in load.modes}
        for number in range(self.rounds):
            shift = number % len(load.modes)
            for name in load.modes[shift:] + load.modes[:shift]:
                limit = min(load.peer_rounds, self.peer_rounds) if self.modes[name].peer else self.rounds
                if name in failures or number >= limit:
                    continue
                self.measure_once(load, context, name, samples, failures)
        return samples, failures

    def measure_once(self, load, context, name, samples, failures):
        try:
            values = load.measure(context, self.modes[name])
        except (MeasurementFailed, OSError) as error:
            failures[name] = str(error)
            end_leftovers()
            progress(f"    {name}: {error}")
            return
        for metric, value in values.items():
            samples.setdefault((name, metric), []).append(value)

    def rows(self, load, samples, failures, context):
        rows = []
        for metric in load.metrics:
            row = {"name": metric.name, "title": metric.title, "unit": metric.unit, "better": metric.better,
                   "load": load.name, "modes": {}}
            for name in load.modes:
                values = samples.get((name, metric.name))
                entry = {}
                if values:
                    entry = stats.summary(values)
                if name in failures:
                    entry["failure"] = failures[name]
                if name in context.notes:
                    entry["note"] = context.notes[name]
                if entry:
                    row["modes"][name] = entry
            add_ratios(row)
            rows.append(row)
        return rows


def add_ratios(row):
    native = row["modes"].get("native")
    for name, entry in row["modes"].items():
        if name != "native" and native and "samples" in native and "samples" in entry:
            entry["to_native"] = stats.ratio(entry, native)
