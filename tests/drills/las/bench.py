"""What every drill uses: an installation, services to attack, and attackers without privileges.

As root (the node's service is root's) attackers run as user `nobody`; as another user everything runs as that user.
"""
import ctypes
import json
import os
import shutil
import signal
import struct
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 60
NOBODY = 65534
CLEAN = {"PATH": "/usr/bin:/bin", "LANG": "C"}

# protocol/las.h
RESULTS = {"malformed": 1, "refused": 2, "already given": 3, "back end failed": 4, "not served": 5, "busy": 6}
REASONS = {"none": 0, "gone": 1, "other sender": 2, "user namespace": 3, "traced": 4, "filtered": 5, "not alone": 6,
           "program mapped": 7, "code changed": 8, "file not trusted": 9, "file changed": 10, "not executable": 11,
           "group": 12, "uninspectable": 13, "too slow": 14, "not owner": 15, "image replaced": 16}


class Skipped(Exception):
    """The machine cannot show this."""


def compile_programs(directory, extra=()):
    """All of programs/*.c, statically, so that an attack can run from memory."""
    programs = os.path.join(HERE, "programs")
    for name in sorted(os.listdir(programs)):
        if name.endswith(".c"):
            command = ["cc", "-O1", "-Wall", "-Wextra", "-Wno-unused-result", "-static", "-o",
                       os.path.join(directory, name[:-2]), os.path.join(programs, name)]
            libraries = {"naive_crypto.c": ["-lcrypto", "-ldl", "-pthread"]}.get(name, [])
            subprocess.run(command + libraries, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def as_nobody():
    """For preexec_fn: gives up root, for good."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # dumpable again, as after a login


class Service:
    """A running service; `socket` is its name."""

    def __init__(self, command, socket, **options):
        self.socket = socket
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, env=options.pop("env", CLEAN), **options)

    def log(self):
        """Everything it said; ends it."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=LIMIT)[1].decode()


class Bench:
    def __init__(self, casemate, directory):
        self.directory = directory
        self.programs = os.path.join(directory, "programs")
        self.casemate = os.path.join(directory, "installed/casemate")
        self.runtime = os.path.join(directory, "installed/casemate-runtime")
        self.source = casemate
        self.services = []
        self.count = 0

    def install(self):
        os.makedirs(os.path.dirname(self.casemate))
        for target in (self.casemate, self.runtime):
            shutil.copy(os.path.join(os.path.dirname(self.source), os.path.basename(target)), target)
            os.chmod(target, 0o755)

    def close(self):
        for service in self.services:
            if service.process.poll() is None:
                service.process.kill()
            if not service.process.stderr.closed:
                service.process.communicate()

    def path(self, name):
        return os.path.join(self.directory, name)

    def program(self, name):
        return os.path.join(self.programs, name)

    def new_name(self):
        self.count += 1
        return "@casemate-drill-%d-%d-%d" % (os.getpid(), id(self) % 1000000, self.count)

    def new_file(self):
        """An empty file that everybody may write."""
        self.count += 1
        path = self.path("evidence-%d" % self.count)
        open(path, "wb").close()
        os.chmod(path, 0o666)
        return path

    def serve(self, *words, socket=None, **options):
        """A real service, once it listens."""
        socket = socket or self.new_name()
        service = Service([self.casemate, "las", "serve", "--socket", socket, *words], socket, **options)
        self.services.append(service)
        line = service.process.stderr.readline().decode()
        assert "listening" in line, "no service: " + line + service.process.stderr.read().decode()
        service.announcement = line
        return service

    def serve_naively(self):
        """The control: believes SO_PEERCRED and /proc/PID/exe."""
        socket = self.new_name()
        service = Service([self.program("naive_las"), socket, self.runtime], socket)
        self.services.append(service)
        name = socket.encode()
        for _ in range(1000):
            if name in open("/proc/net/unix", "rb").read():
                return service
            time.sleep(0.01)
        raise AssertionError("the naive service does not listen")

    def status(self, service):
        return json.loads(self.call("las", "status", "--json", "--socket", service.socket, check=True).stdout)

    def call(self, *words, check=False, **options):
        options.setdefault("env", CLEAN)
        result = subprocess.run([self.casemate, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=LIMIT, **options)
        assert not check or result.returncode == 0, describe(result)
        return result

    def attack(self, *command, **options):
        """Runs as an unprivileged user; returns the last line that the attack printed."""
        options.setdefault("preexec_fn", as_nobody)
        options.setdefault("env", CLEAN)
        result = subprocess.run([self.program(command[0]), *command[1:]], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT, cwd="/", **options)
        lines = result.stdout.decode().strip().split("\n")
        assert lines[-1], "the attack printed nothing: " + describe(result)
        return lines[-1]

    def ask(self, service, *options, nonce="0102", evidence=None, **arguments):
        """`casemate run --attest`; returns (result, evidence)."""
        evidence = evidence or self.new_file()
        target = "--attest" if service is None else "--attest=" + service.socket
        arguments.setdefault("preexec_fn", as_nobody)
        result = self.call("run", target, "--nonce", nonce, "--evidence", evidence, *options, "--", "/bin/true",
                           **arguments)
        with open(evidence, "rb") as file:
            return result, file.read()


def describe(result):
    return "exit code %s\n  stdout: %r\n  stderr: %r" % (result.returncode, result.stdout[-2000:], result.stderr[-2000:])


def expect_control(line):
    """The attack works against the naive service: otherwise the drill shows nothing."""
    assert line.startswith("EVIDENCE "), "the control does not show the attack: " + line


def expect_refusal(line, *reasons):
    allowed = ["REFUSED %d %d" % (RESULTS["refused"], REASONS[reason]) for reason in reasons]
    assert line in allowed, "expected one of %s, got %s" % (allowed, line)


def expect_one_line(result, code, *words):
    assert result.returncode == code, "expected exit code %d: %s" % (code, describe(result))
    text = result.stderr.decode()
    assert text.count("\n") == 1 and text.startswith("casemate"), "expected one line: " + describe(result)
    for word in words:
        assert word in text, "expected %r: %s" % (word, describe(result))


class Evidence:
    """Process evidence, taken apart without the project's own code (docs/las.md, layout)."""

    def __init__(self, data):
        magic, version, size = struct.unpack_from("<8sII", data)
        assert magic == b"CASEMEVP" and version == 1 and size == len(data), data[:16]
        self.statement = data[16:272]
        (label, _, self.purpose, self.backend, self.checks, self.measurement, self.nonce_digest, self.key_id,
         self.node_digest, self.issued_at) = struct.unpack_from("<32sIIII32s64s32s32sQ", self.statement)
        assert label.rstrip(b"\0") == b"casemate process statement", label
        self.public_key, self.signature = data[276:340], data[340:404]
        self.node = data[408:]
        assert struct.unpack_from("<I", data, 404)[0] == len(self.node)

    def public_key_info(self):
        """SubjectPublicKeyInfo of a P-256 key, DER."""
        return bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") + self.public_key

    def signature_holds(self, directory):
        """Checked by the openssl command, with the key that stands in the evidence itself."""
        def integer(number):
            number = number.lstrip(b"\0") or b"\0"
            number = b"\0" + number if number[0] & 0x80 else number
            return b"\x02" + bytes([len(number)]) + number
        parts = integer(self.signature[:32]) + integer(self.signature[32:])
        files = {"key.der": self.public_key_info(), "signature": b"\x30" + bytes([len(parts)]) + parts,
                 "statement": self.statement}
        for name, content in files.items():
            with open(os.path.join(directory, name), "wb") as file:
                file.write(content)
        command = ["openssl", "dgst", "-sha256", "-keyform", "DER", "-verify", "key.der", "-signature", "signature",
                   "statement"]
        return subprocess.run(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
