"""Starting, watching and ending programs of a benchmark.

Servers get an ephemeral loopback port and a private directory. What a measurement started is ended by process id: the
runner is a child subreaper, so that whatever a runtime leaves behind becomes our child and is found.
"""

import ctypes
import os
import re
import signal
import socket
import subprocess
import time

from .model import MeasurementFailed, last_line

PR_SET_CHILD_SUBREAPER = 36
KEPT = set()  # process ids that end_leftovers() spares: file systems that outlive a measurement
TROUBLE = re.compile(r"FATAL|PANIC|ERROR|\[emerg\]|casemate(-runtime)?:", re.IGNORECASE)


def become_subreaper():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children_of(parent):
    """Process ids whose parent is `parent`."""
    try:
        threads = os.listdir(f"/proc/{parent}/task")
        found = []
        for thread in threads:
            with open(f"/proc/{parent}/task/{thread}/children", encoding="ascii") as file:
                found += [int(pid) for pid in file.read().split()]
        return found
    except OSError:
        return []


def descendants_of(parent):
    found = []
    for child in children_of(parent):
        found += [child] + descendants_of(child)
    return found


def end_leftovers():
    """Kills and reaps everything that descends from this runner, except what was to be kept."""
    for _ in range(50):
        left = [pid for pid in descendants_of(os.getpid()) if pid not in KEPT]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        reap()
        if not left:
            return
        time.sleep(0.02)


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
    except OSError:
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_program(mode, argv, timeout=60, user=None, cwd=None, env=None):
    """Runs `argv` to its end in `mode` and returns its standard output (a pipe: gVisor does not append to files)."""
    process = subprocess.Popen(mode.command(argv, user), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd=cwd, env=env)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        process.kill()
        end_leftovers()
        raise MeasurementFailed(f"did not end within {timeout:.0f} s") from error
    if process.returncode != 0:
        raise MeasurementFailed(f"{describe_end(process.returncode)}: {last_line(errors)}".rstrip(": "))
    return output.decode("utf-8", "replace")


def describe_end(code):
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def numbers_of(text):
    """The figures a micro-benchmark printed: its last line."""
    line = last_line(text)
    try:
        numbers = [float(word) for word in line.split()]
    except ValueError:
        numbers = []
    if not numbers:
        raise MeasurementFailed(f"no figure in its output: {line!r}")
    return numbers


def number_of(text):
    return numbers_of(text)[0]


class Server:
    """A server in a mode, for the time of a `with` block.

    `ready(server)` is asked until it returns true; a server that ends before is reported with the end of its log.
    """

    def __init__(self, mode, argv, log, ready, user=None, stop=signal.SIGTERM, start_seconds=60, cwd=None, env=None):
        self.argv = mode.command(argv, user)
        self.log = log
        self.ready = ready
        self.stop = stop
        self.start_seconds = start_seconds
        self.cwd = cwd
        self.env = env
        self.process = None

    def __enter__(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.cwd,
                                            env=self.env)
        end = time.monotonic() + self.start_seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise MeasurementFailed(f"server {describe_end(self.process.returncode)}: {self.log_end()}")
            if self.ready():
                return self
            time.sleep(0.02)
        self.__exit__(None, None, None)
        raise MeasurementFailed(f"server not ready within {self.start_seconds} s: {self.log_end()}")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(self.stop)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        end_leftovers()

    def log_end(self):
        """What the log says about the failure: its last line that sounds like one, or its last line."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            return ""
        alarming = [line for line in text.splitlines() if TROUBLE.search(line)]
        return last_line(alarming[-1] if alarming else text)


def port_answers(port):
    """A `ready` for servers that are ready when they accept."""

    def ask():
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            return False

    return ask


def command_succeeds(argv):
    """A `ready` for servers that accept before they serve: a client's call must succeed."""

    def ask():
        try:
            return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=5, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    return ask
