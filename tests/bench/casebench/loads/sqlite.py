"""SQLite: durable commits on disk and on tmpfs, a bulk insert, and point queries that read pages."""

import os
import shutil
import tempfile

from ..launch import number_of, run_program
from ..model import HIGHER, Load, Metric


def sqlite_load(name, title, unit, case, on_tmpfs=False, seconds=2.0):
    metric = f"sqlite.{name}"

    def measure(context, mode):
        directory = tempfile.mkdtemp(prefix="casemate-bench-", dir="/dev/shm" if on_tmpfs else context.directory)
        try:
            argv = [context.binary("sqlite_load"), case, directory, str(context.seconds(seconds))]
            return {metric: number_of(run_program(mode, argv, timeout=120))}
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    # gVisor's sandbox has a /dev of its own, so the host's tmpfs does not exist there.
    modes = ("native", "casemate") if on_tmpfs else ("native", "casemate", "runsc")
    prepare = None if not on_tmpfs else lambda context: os.stat("/dev/shm")
    return Load(metric, (Metric(metric, title, unit, HIGHER),), measure, modes, prepare)


LOADS = (
    sqlite_load("commit_disk", "SQLite durable commits, disk", "/s", "commit"),
    sqlite_load("commit_tmpfs", "SQLite durable commits, tmpfs", "/s", "commit", on_tmpfs=True),
    sqlite_load("insert", "SQLite bulk insert", "rows/s", "insert"),
    sqlite_load("select", "SQLite point queries, tiny cache", "/s", "select"),
)
