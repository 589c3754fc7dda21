"""Places where a program keeps its files: a directory of the host, an encrypted volume, gocryptfs, dm-crypt.

A storage mode is a Mode whose `place(context)` yields a fresh Place; all places of a load lie on one host file system.
A Place knows its directory as the program sees it, and starts programs that see it.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

from .launch import KEPT
from .model import MeasurementFailed, find_program, last_line, run_native
from .modes import PROBE_SECONDS, Mode

GUEST_DIRECTORY = "/casemate-bench-data"  # a path that no host has: what is read there came out of the volume
DROP_CACHES = "/proc/sys/vm/drop_caches"
GOCRYPTFS_PASSWORD = "benchmark"
DM_SIZE = 12 << 30


def empty_page_cache():
    """Afterwards the host reads from the disk. Dirty pages are written first, or they would stay."""
    os.sync()
    try:
        with open(DROP_CACHES, "w", encoding="ascii") as file:
            file.write("3\n")
    except OSError as error:
        raise MeasurementFailed(f"the page cache cannot be emptied without root: {error}") from error


class Place(Mode):
    """A directory in one storage mode. As a Mode it starts programs that see the directory."""

    def __init__(self, mode, directory, prefix, holder):
        super().__init__(mode.name, mode.title, prefix)
        self.directory = directory
        self.holder = holder  # host directory with everything that belongs to the place

    def put(self, source):
        """Copies the contents of the host directory `source` here."""
        run_native(["cp", "-a", source + "/.", self.directory])

    def give_to(self, user):
        """Lets `user` start programs that use the place."""
        if os.geteuid() == 0:
            run_native(["chown", f"{user}:", self.directory])

    def rest(self):
        """Makes sure that nothing of the place is cached by a process of ours; the page cache is the caller's."""


class VolumePlace(Place):
    def __init__(self, mode, holder, executable, freshness):
        self.volume, self.key = os.path.join(holder, "volume"), os.path.join(holder, "key")
        self.anchor = os.path.join(holder, "anchor")
        description = os.path.join(holder, "run.json")
        super().__init__(mode, GUEST_DIRECTORY, [executable, "run", "--quiet", "--fs", description, "--"], holder)
        self.executable = executable
        region = {"path": GUEST_DIRECTORY, "kind": "encrypted", "volume": self.volume, "key-file": self.key,
                  "freshness": freshness, "anchor": self.anchor}
        if freshness == "bounded":
            region["bound"] = "1s"
        with open(description, "w", encoding="ascii") as file:
            json.dump({"cache": "4G", "regions": [{"path": "/", "kind": "host"}, region]}, file)
        os.chmod(description, 0o644)
        run_native([executable, "volume", "create", "--new-key-file", self.key, "--size", "64G", "--quiet",
                    self.volume])
        run_native([executable, "volume", "anchor", "--set", "--key-file", self.key, "--anchor", self.anchor, "--quiet",
                    self.volume])

    def tool(self, command, *words, timeout=600):
        """Runs `casemate volume COMMAND` on the volume."""
        options = ["--key-file", self.key, "--anchor", self.anchor, "--quiet"]
        return run_native([self.executable, "volume", command, *options, self.volume, *words], timeout=timeout)

    def put(self, source):
        self.tool("import", source)

    def give_to(self, user):
        if os.geteuid() == 0:
            run_native(["chown", "-R", f"{user}:", self.holder])


class GocryptfsPlace(Place):
    def __init__(self, mode, holder):
        self.cipher, directory = os.path.join(holder, "cipher"), os.path.join(holder, "plain")
        super().__init__(mode, directory, [], holder)
        for path in (self.cipher, directory):
            os.mkdir(path, 0o755)
        self.password = os.path.join(holder, "password")
        with open(self.password, "w", encoding="ascii") as file:
            file.write(GOCRYPTFS_PASSWORD + "\n")
        run_native(["gocryptfs", "-q", "-init", "-scryptn", "10", "-passfile", self.password, self.cipher])
        self.mount()

    def mount(self):
        others = ["-allow_other"] if os.geteuid() == 0 else []
        # In the foreground: its process id must be known, so that nobody takes it for a leftover.
        self.process = subprocess.Popen(["gocryptfs", "-q", "-fg", *others, "-passfile", self.password, self.cipher,
                                         self.directory], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        KEPT.add(self.process.pid)
        end = time.monotonic() + PROBE_SECONDS
        while not os.path.ismount(self.directory):
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise MeasurementFailed("gocryptfs: " + last_line(self.process.communicate()[1]))
            time.sleep(0.01)

    def unmount(self):
        run_native(["fusermount3", "-u", self.directory])
        self.process.wait(PROBE_SECONDS)
        self.process.stderr.close()
        KEPT.discard(self.process.pid)

    def rest(self):
        self.unmount()
        self.mount()


class DmCryptPlace(Place):
    """An ext4 on a dm-crypt device on a loop device on a file. Needs root and a kernel with device mapper."""

    def __init__(self, mode, holder):
        directory, image = os.path.join(holder, "plain"), os.path.join(holder, "image")
        super().__init__(mode, directory, [], holder)
        os.mkdir(directory, 0o755)
        with open(image, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, DM_SIZE)
        key = os.path.join(holder, "key")
        with open(key, "wb") as file:
            file.write(os.urandom(64))
        self.device = "casemate-bench-" + os.path.basename(holder)
        run_native(["cryptsetup", "open", "--type", "plain", "--cipher", "aes-xts-plain64", "--key-size", "512",
                    "--key-file", key, image, self.device])
        run_native(["mkfs.ext4", "-q", f"/dev/mapper/{self.device}"])
        run_native(["mount", f"/dev/mapper/{self.device}", directory])

    def unmount(self):
        run_native(["umount", self.directory])
        run_native(["cryptsetup", "close", self.device])


class StorageMode(Mode):
    """A Mode with places. `make(mode, holder)` makes one in an empty host directory."""

    def __init__(self, name, title, make, **arguments):
        super().__init__(name, title, [], **arguments)
        self.make = make

    @contextlib.contextmanager
    def place(self, context):
        holder = tempfile.mkdtemp(prefix=self.name + "-", dir=context.directory)
        os.chmod(holder, 0o755)
        place = None
        try:
            place = self.make(self, holder)
            yield place
        finally:
            release(place, holder)


def release(place, holder):
    """Unmounts before anything is removed: rmtree would go on behind the mount point."""
    if place is not None and hasattr(place, "unmount"):
        for attempt in range(50):
            try:
                place.unmount()
                break
            except MeasurementFailed:  # a server that was told to end may still be on its way out
                if attempt == 49:
                    raise
                subprocess.run(["sleep", "0.1"], check=False)
    shutil.rmtree(holder, ignore_errors=True)


def make_native(mode, holder):
    directory = os.path.join(holder, "plain")
    os.mkdir(directory, 0o755)
    return Place(mode, directory, [], holder)


def native_storage():
    return StorageMode("native", "native", make_native)


def probe_place(mode):
    """Why no program can use a place of this mode here, or an empty text."""

    class Probe:
        def __init__(self, directory):
            self.directory = directory

    with tempfile.TemporaryDirectory(prefix="casemate-bench-", dir="/tmp") as directory:
        try:
            with mode.place(Probe(directory)) as place:
                command = place.command(["/bin/sh", "-c", f"echo x > {place.directory}/probe"])
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, timeout=PROBE_SECONDS, check=False)
                return "" if done.returncode == 0 else f"exit code {done.returncode}: {last_line(done.stderr)}"
        except subprocess.TimeoutExpired:
            return f"a probe did not end within {PROBE_SECONDS} s"
        except (MeasurementFailed, OSError) as error:
            return str(error)


def with_probe(mode):
    mode.reason = probe_place(mode)
    return mode


def volume_mode(name, title, executable, freshness):
    mode = StorageMode(name, title, lambda own, holder: VolumePlace(own, holder, executable, freshness))
    mode.executable = executable
    if not os.access(executable, os.X_OK):
        mode.reason = f"{executable} is not built"
        return mode
    return with_probe(mode)


def gocryptfs_mode():
    mode = StorageMode("gocryptfs", "gocryptfs", GocryptfsPlace, peer=True)
    if not find_program("gocryptfs") or not find_program("fusermount3"):
        mode.reason = "gocryptfs is not installed (Debian packages gocryptfs, fuse3)"
        return mode
    version = subprocess.run(["gocryptfs", "-version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    mode.title = " ".join(version.split(";")[0].split()[:2])
    return with_probe(mode)


def dmcrypt_mode():
    mode = StorageMode("dmcrypt", "dm-crypt (ext4 in a file)", DmCryptPlace, peer=True)
    if not os.path.exists("/dev/mapper/control"):
        mode.reason = "this kernel has no device mapper"
    elif os.geteuid() != 0 or not find_program("cryptsetup"):
        mode.reason = "needs root and Debian's cryptsetup-bin"
    return mode if mode.reason else with_probe(mode)
