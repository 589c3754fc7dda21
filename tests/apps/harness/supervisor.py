"""Runs one case to its end, whatever it starts, and leaves no process behind.

Servers put themselves into sessions of their own (PostgreSQL gives every backend one), so a process group is not
enough to find what a case started. The process that calls become_subreaper() inherits every orphan instead
(prctl(2), PR_SET_CHILD_SUBREAPER): what is still below it when the case has ended was left behind, is reported by
name and is killed. Only descendants of this process are ever signalled.
"""

import ctypes
import dataclasses
import os
import pathlib
import signal
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.02
# Workers of a server that was told to stop may need a moment after the case itself has ended.
GRACE_SECONDS = 5.0


@dataclasses.dataclass
class Outcome:
    """How a case ended. `status` is the shell's view: an exit code, or 128 + signal."""

    status: int
    seconds: float
    timed_out: bool
    left_behind: list[str]


def become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(root: int) -> dict[int, str]:
    """All living processes below `root`, by pid, with their names. Zombies do not count: they only wait for us."""
    children: dict[int, list[tuple[int, str]]] = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue  # It ended while we looked.
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
        if state not in "ZX":
            children.setdefault(int(parent), []).append((int(entry.name), name))
    found: dict[int, str] = {}
    waiting = [root]
    while waiting:
        for pid, name in children.get(waiting.pop(), []):
            found[pid] = name
            waiting.append(pid)
    return found


def _shell_status(wait_status: int) -> int:
    if os.WIFSIGNALED(wait_status):
        return 128 + os.WTERMSIG(wait_status)
    return os.WEXITSTATUS(wait_status)


def _reap(main_pid: int) -> int | None:
    """Collects everything that has ended; returns the main process's status once that is among it."""
    status = None
    while True:
        try:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == main_pid:
            status = _shell_status(wait_status)


def _wait_until_alone(seconds: float) -> dict[int, str]:
    deadline = time.monotonic() + seconds
    while True:
        _reap(-1)
        remaining = descendants(os.getpid())
        if not remaining or time.monotonic() >= deadline:
            return remaining
        time.sleep(POLL_SECONDS)


def _kill_descendants() -> None:
    for _ in range(100):  # A dying tree may still fork: look again until it is empty.
        remaining = descendants(os.getpid())
        if not remaining:
            break
        for pid in remaining:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(POLL_SECONDS)
        _reap(-1)


def run_supervised(
    command: list[str], environment: dict[str, str], directory: pathlib.Path, streams: pathlib.Path, limit: float
) -> Outcome:
    """Runs `command` in `directory`; its output goes to `streams`.out and `streams`.err.

    Requires: become_subreaper() was called in this process, which has no other children.
    """
    started = time.monotonic()
    with open(f"{streams}.out", "wb") as out, open(f"{streams}.err", "wb") as err:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    status = None
    timed_out = False
    while status is None:
        status = _reap(process.pid)
        if status is None:
            if time.monotonic() - started > limit:
                timed_out = True
                status = 128 + signal.SIGKILL
                break
            time.sleep(POLL_SECONDS)
    seconds = time.monotonic() - started
    left = _wait_until_alone(0 if timed_out else GRACE_SECONDS)
    _kill_descendants()
    process.returncode = status  # Collected above; keeps Popen from waiting again.
    return Outcome(status, seconds, timed_out, [f"{name}({pid})" for pid, name in sorted(left.items())])
