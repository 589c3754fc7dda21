"""Words of the harness: Metric, Load, Context, MeasurementFailed."""

import contextlib
import dataclasses
import os
import shutil
import subprocess
import tempfile
from typing import Callable, Dict, Optional, Tuple

LOWER = "lower"
HIGHER = "higher"


class MeasurementFailed(Exception):
    """A load could not be run in a mode; the text says why, in one line for the table."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """One figure: `better` says in which direction it improves."""

    name: str
    title: str
    unit: str
    better: str = LOWER


@dataclasses.dataclass(frozen=True)
class Load:
    """Something to run. `measure(context, mode)` returns {metric name: value}; `modes` are wished, `native` first."""

    name: str
    metrics: Tuple[Metric, ...]
    measure: Callable
    modes: Tuple[str, ...] = ("native", "casemate", "runsc")
    prepare: Optional[Callable] = None
    needs: Tuple[str, ...] = ()
    peer_rounds: int = 3


class Context:
    """What a load may use: its own directory, compiled helper programs, and how long to measure."""

    def __init__(self, binaries: str, quick: bool, directory: str):
        self.binaries = binaries
        self.quick = quick
        self.directory = directory
        self.store: Dict[str, object] = {}
        self.notes: Dict[str, str] = {}
        self.exits = contextlib.ExitStack()  # what must be undone before the directory is removed, such as mounts

    def binary(self, name: str) -> str:
        return os.path.join(self.binaries, name)

    def seconds(self, full: float) -> float:
        """How long to measure: `full` normally, a part of it with --quick."""
        return full * 0.3 if self.quick else full

    def note(self, mode, text: str) -> None:
        """Keeps a remark about a mode's measurement for the JSON and the text below the table."""
        self.notes[mode.name] = text

    def path(self, *parts: str) -> str:
        return os.path.join(self.directory, *parts)


def make_directory(prefix: str) -> str:
    """A private directory that servers running as another user may enter."""
    directory = tempfile.mkdtemp(prefix=prefix, dir="/tmp")
    os.chmod(directory, 0o755)
    return directory


def find_program(name: str) -> Optional[str]:
    """Debian puts servers outside a normal user's PATH."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/postgresql/15/bin")


def last_line(data) -> str:
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def run_native(argv, timeout: float = 120, **arguments) -> str:
    """Runs a client or a preparation step natively and returns its output."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, check=False, text=True, **arguments)
    except subprocess.TimeoutExpired as error:
        raise MeasurementFailed(f"{os.path.basename(argv[0])} did not end within {timeout:.0f} s") from error
    if done.returncode != 0:
        detail = last_line(done.stderr) or last_line(done.stdout)
        raise MeasurementFailed(f"{os.path.basename(argv[0])} ended with {done.returncode}: {detail}")
    return done.stdout
