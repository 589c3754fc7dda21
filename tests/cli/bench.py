"""What every case uses: running casemate, making broken programs, and saying what was expected."""
import os
import shutil
import signal
import struct
import subprocess

LIMIT = 60


class Skipped(Exception):
    """The machine cannot show this."""


class Bench:
    def __init__(self, casemate, directory):
        self.casemate, self.directory = casemate, directory

    def path(self, name):
        return os.path.join(self.directory, name)

    def file(self, name, content, mode=0o755):
        """Makes a file in the private directory and returns its path."""
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def call(self, *words, casemate=None, **options):
        """Runs `casemate WORDS`; standard input is empty unless given."""
        return self.execute([casemate or self.casemate, *words], **options)

    def run(self, *words, **options):
        """Runs `casemate run -- WORDS`."""
        return self.call("run", "--", *words, **options)

    def execute(self, command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("cwd", self.directory)
        options.setdefault("env", {"PATH": "/usr/bin:/bin", "LANG": "C"})
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT, **options)

    def installation(self, runtime=True):
        """A copy of both executables in a directory of everybody; returns the path of its casemate."""
        place = self.path("installed")
        os.mkdir(place, 0o755)
        names = ["casemate"] + (["casemate-runtime"] if runtime else [])
        for name in names:
            shutil.copy(os.path.join(os.path.dirname(self.casemate), name), place)
        return os.path.join(place, "casemate")


def describe(result):
    status = result.returncode
    how = "signal %s" % signal.Signals(-status).name if status < 0 else "exit code %d" % status
    return "%s\n  stdout: %r\n  stderr: %r" % (how, result.stdout[-2000:], result.stderr[-2000:])


def expect(result, code=0, stdout=None, stderr=None):
    """Exit code (negative: signal) and, when given, exact output."""
    assert result.returncode == code, "expected %d, got %s" % (code, describe(result))
    if stdout is not None:
        assert result.stdout == stdout, "expected output %r, got %s" % (stdout, describe(result))
    if stderr is not None:
        assert result.stderr == stderr, "expected messages %r, got %s" % (stderr, describe(result))


def expect_refusal(result, code, *words):
    """One line on standard error that starts with our name and contains all words, nothing on standard output."""
    expect(result, code, stdout=b"")
    text = result.stderr.decode()
    assert text.endswith("\n") and text.count("\n") == 1, "expected one line: " + describe(result)
    assert text.startswith("casemate"), "expected our name first: " + describe(result)
    for word in words:
        assert word in text, "expected %r in the message: %s" % (word, describe(result))


def elf(machine=62, kind=2, bits=64, interpreter=None, size=None):
    """A minimal ELF program: one page of code that calls exit_group(0). Broken on request."""
    code = b"\xb8\xe7\0\0\0\x31\xff\x0f\x05"
    headers = [] if interpreter is None else [interpreter.encode() + b"\0"]
    count = 1 + len(headers)
    start = 64 + 56 * count
    data = start + len(code)
    length = data + sum(map(len, headers))
    base = 0x400000
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1, 1]) + bytes(9)
    image = ident + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, base + start, 64, 0, 0, 64, 56, count, 0, 0, 0)
    if headers:
        image += struct.pack("<IIQQQQQQ", 3, 4, data, base + data, base + data, len(headers[0]), len(headers[0]), 1)
    image += struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, length, length, 0x1000)
    image += code + b"".join(headers)
    return image if size is None else image[:size]
