"""What cases of evidence share: the command line, vectors, and samples made with throw-away roots."""
import json
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CASEMATE = os.path.abspath(os.environ.get("CASEMATE", os.path.join(ROOT, "build/bin/casemate")))
SAMPLES = os.path.abspath(os.environ.get("CASEMATE_EVIDENCE_SAMPLES",
                                         os.path.join(ROOT, "build/release/tests/evidence_samples")))
VECTORS = os.environ.get("CASEMATE_VECTORS", os.path.join(os.path.dirname(ROOT), "shared/vectors"))


class Skipped(Exception):
    pass


def casemate(*words, **options):
    return subprocess.run([CASEMATE] + list(words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          **options)


def verify(*words):
    """Runs `quote verify --json`; gives the exit code and the document."""
    done = casemate("quote", "verify", "--json", *words)
    assert done.returncode in (0, 1), "exit code %d: %s" % (done.returncode, done.stderr)
    return done.returncode, json.loads(done.stdout)


def expect(what, actual, expected):
    assert actual == expected, "%s is %r instead of %r" % (what, actual, expected)


def vectors():
    for root, _, files in sorted(os.walk(VECTORS)):
        if "expected.json" in files:
            yield os.path.relpath(root, VECTORS), root


def need(name):
    path = os.path.join(VECTORS, name)
    if not os.path.isdir(path):
        raise Skipped("%s is not there" % path)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()
