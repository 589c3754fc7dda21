"""What every case uses: running `casemate volume`, and saying what was expected of it."""
import json
import os
import shutil
import signal
import subprocess

import trees

LIMIT = 120
SMALL = ("--size", "256M", "--journal", "1M")


class Skipped(Exception):
    """The machine cannot show this."""


class Workshop:
    """A private directory with a key file; `random` is seeded."""

    def __init__(self, casemate, directory, random):
        self.casemate, self.directory, self.random = casemate, directory, random
        self.key = self.path("key")

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def file(self, name, content=b"", mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def read(self, *names):
        with open(self.path(*names), "rb") as file:
            return file.read()

    def command(self, command, *words):
        return [self.casemate, "volume", command, *words]

    def raw(self, *words, **options):
        """`casemate volume WORDS` and nothing added."""
        return self.execute([self.casemate, "volume", *words], **options)

    def call(self, command, *words, key=None, **options):
        """`casemate volume COMMAND` with our key and without notices."""
        return self.execute(self.command(command, "--quiet", "--key-file", key or self.key, *words), **options)

    def execute(self, command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("cwd", self.directory)
        options.setdefault("env", {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C"})
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT, check=False,
                              **options)

    def start(self, command, *words):
        """Starts `casemate volume COMMAND` with our key and does not wait."""
        return subprocess.Popen(self.command(command, "--quiet", "--key-file", self.key, *words),
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                cwd=self.directory)

    def make_key(self, name="key"):
        path = self.path(name)
        if not os.path.exists(path):
            expect(self.raw("key", "-o", path))
        return path

    def create(self, name="volume", *words, key=None):
        self.make_key()
        expect(self.call("create", *(words or SMALL), self.path(name), key=key))
        return self.path(name)

    def volume_of(self, tree, name="volume", *words):
        """A new volume that holds the host directory `tree`."""
        path = self.create(name)
        expect(self.call("import", *words, path, tree))
        return path

    def small_tree(self, name="tree"):
        path = self.path(name)
        os.makedirs(os.path.join(path, "directory"))
        self.file(name + "/hello", b"hello, volume\n")
        self.file(name + "/directory/large", self.random.randbytes(300000))
        return path

    def odd_tree(self, name="odd"):
        path = self.path(name)
        os.mkdir(path)
        trees.make_odd_tree(path, self.random)
        return path

    def copy(self, source, target):
        """A copy of a file on the host: what a thief or a backup has."""
        shutil.copyfile(source, target)
        return target

    def json(self, command, *words, **options):
        """The JSON document that a command prints; any exit code."""
        result = self.call(command, "--json", *words, **options)
        try:
            return json.loads(result.stdout)
        except ValueError as error:
            raise AssertionError("no JSON (%s): %s" % (error, describe(result))) from error


def describe(result):
    status = result.returncode
    how = "signal %s" % signal.Signals(-status).name if status < 0 else "exit code %d" % status
    return "%s of %s\n  stdout: %r\n  stderr: %r" % (how, " ".join(map(os.fsdecode, result.args)), result.stdout[-1500:],
                                                    result.stderr[-1500:])


def expect(result, code=0, stdout=None, stderr=None):
    """Exit code (negative: signal) and, when given, exact output."""
    assert result.returncode == code, "expected %d, got %s" % (code, describe(result))
    if stdout is not None:
        assert result.stdout == stdout, "expected output %r, got %s" % (stdout, describe(result))
    if stderr is not None:
        assert result.stderr == stderr, "expected messages %r, got %s" % (stderr, describe(result))
    return result


def expect_refusal(result, codes, *words):
    """One line on standard error that starts with our name and contains all words (alternatives by |)."""
    codes = codes if isinstance(codes, tuple) else (codes,)
    assert result.returncode in codes, "expected one of %r, got %s" % (codes, describe(result))
    text = result.stderr.decode("utf-8", "replace")
    assert text.endswith("\n") and text.count("\n") == 1, "expected one line: " + describe(result)
    assert text.startswith("casemate volume"), "expected our name first: " + describe(result)
    for word in words:
        assert any(part in text for part in word.split("|")), "expected %r in the message: %s" % (word, describe(result))
    return result


def expect_no_crash(result):
    """Whatever it answered, it answered: no signal, and no exit code that is not ours."""
    assert result.returncode in (0, 1, 125), "expected an answer, got " + describe(result)
    return result
