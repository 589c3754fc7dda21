"""Ways to start a measured program: natively, under Casemate (patched, trapped, the non-PIE runtime) and under gVisor;
and, for storage.py, ways to keep its files.

A mode turns a command into the command that runs it there. Whether a mode can run at all on this machine is found out
once, by running /bin/true in it; when it cannot, the reason is kept and printed with every table.
"""

import hashlib
import os
import re
import subprocess

from .model import find_program, last_line

PROBE_SECONDS = 20
# In the order of columns.
NAMES = ("native", "casemate", "trapped", "nopie", "runsc", "local", "bounded", "gocryptfs", "dmcrypt")


class Mode:
    """One way to run. `slow` modes get smaller loads where a load counts requests instead of seconds."""

    def __init__(self, name, title, prefix, slow=False, peer=False, reason="", remark=""):
        self.name = name
        self.title = title
        self.prefix = prefix
        self.slow = slow
        self.peer = peer
        self.reason = reason  # why it cannot run; empty when it can
        self.remark = remark  # what a reader of the figures should know
        self.executable = ""  # of ours, where it does not stand in the prefix

    @property
    def available(self):
        return not self.reason

    def command(self, argv, user=None):
        """The command line for `argv`, run as `user` (a name) when we are root.

        The user is changed by setpriv in front of a runtime of ours, but inside a gVisor sandbox: starting the sandbox
        itself needs root.
        """
        as_user = []
        if user and os.geteuid() == 0:
            as_user = [find_program("setpriv"), f"--reuid={user}", f"--regid={primary_group(user)}", "--init-groups"]
        if self.peer:
            return self.prefix + as_user + list(argv)
        return as_user + self.prefix + list(argv)


def primary_group(user):
    import pwd

    return str(pwd.getpwnam(user).pw_gid)


def probe(prefix, argv=("/bin/true",)):
    """Returns why `prefix` cannot run a program here, or an empty text."""
    try:
        done = subprocess.run(prefix + list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"/bin/true did not end within {PROBE_SECONDS} s"
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return f"exit code {done.returncode}: {last_line(done.stderr)}"


def fingerprint(mode):
    """What was really measured: a checkout's commit says nothing about executables that were built at another time."""
    executable = mode.prefix[0] if mode.prefix else mode.executable
    if mode.peer or not mode.available or not executable:
        return {}
    directory = os.path.dirname(executable)
    found = {}
    for name in ("casemate", "casemate-runtime", "casemate-keeper"):
        path = os.path.join(directory, name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                found[path] = hashlib.sha256(file.read()).hexdigest()[:16]
    return found


def casemate_mode(name, title, executable, options):
    prefix = [executable, "run", *options, "--"]
    if not os.access(executable, os.X_OK):
        return Mode(name, title, prefix, reason=f"{executable} is not built")
    return Mode(name, title, prefix, reason=probe(prefix))


def nopie_mode(directory):
    """A build of the same commit whose runtime is linked at a fixed address (CMake: CASEMATE_NO_PIE)."""
    return casemate_mode("nopie", "Casemate, non-PIE runtime", os.path.join(directory, "casemate"), [])


def runsc_mode(platforms):
    """gVisor through `runsc do`: rootless needs no iptables, the host network makes servers reachable on loopback."""
    title = "gVisor"
    runsc = find_program("runsc")
    if not runsc:
        return Mode("runsc", title, [], peer=True, reason="runsc is not installed (Debian package runsc)")
    reasons = []
    for platform in platforms:
        prefix = [runsc, "--rootless", "--network=host", "--ignore-cgroups", f"--platform={platform}", "do",
                  "-force-overlay=false"]
        reason = probe(prefix)
        if not reason:
            version = subprocess.run([runsc, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
            found = re.search(r"version (\S+)", version)
            title = f"gVisor runsc {found.group(1) if found else ''} ({platform})"
            return Mode("runsc", title, prefix, slow=True, peer=True, remark="; ".join(reasons))
        reasons.append(f"{platform}: {reason}")
    return Mode("runsc", title, [], slow=True, peer=True, reason="; ".join(reasons))


def all_modes(executable, nopie, platforms, wanted):
    """All modes by name; those not in `wanted` are not probed."""
    from . import storage  # its modes are built on ours

    makers = {
        "native": lambda: Mode("native", "native", []),
        "casemate": lambda: casemate_mode("casemate", "Casemate", executable, []),
        "trapped": lambda: casemate_mode("trapped", "Casemate, no patching", executable, ["--no-patching"]),
        "nopie": lambda: nopie_mode(nopie),
        "runsc": lambda: runsc_mode(platforms),
        "local": lambda: storage.volume_mode("local", "Casemate volume, local", executable, "local"),
        "bounded": lambda: storage.volume_mode("bounded", "Casemate volume, bounded", executable, "bounded"),
        "gocryptfs": storage.gocryptfs_mode,
        "dmcrypt": storage.dmcrypt_mode,
    }
    modes = {}
    for name, make in makers.items():
        modes[name] = make() if name in wanted else Mode(name, name, [], reason="not asked for")
    return modes
