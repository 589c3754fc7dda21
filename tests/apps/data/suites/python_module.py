"""Runs one module of CPython's test suite and writes one line per test: python_module.py MODULE FILE.

The outcome is written as soon as a test has ended, so that a crash leaves everything known until then; a test that
was running then stands in the file as "started". Tests in the case's list under `exclude` are not run.
"""

import faulthandler
import os
import pathlib
import sys
import unittest

from test import support


class Recorder(unittest.TextTestResult):
    """Writes outcomes by name. Subtests that fail count for their test."""

    output = None

    def startTest(self, test) -> None:
        self.outcome = "ok"
        super().startTest(test)
        self.write(test, "started")

    def stopTest(self, test) -> None:
        self.write(test, self.outcome)
        super().stopTest(test)

    def write(self, test, outcome: str) -> None:
        self.output.write(f"{test.id()}\t{outcome}\n")
        self.output.flush()

    def addError(self, test, error) -> None:
        super().addError(test, error)
        self.outcome = "error"
        if not isinstance(test, unittest.TestCase):  # The set-up of a class or a module.
            self.write(test, "error")

    def addFailure(self, test, error) -> None:
        super().addFailure(test, error)
        self.outcome = "fail"

    def addSkip(self, test, reason: str) -> None:
        super().addSkip(test, reason)
        self.outcome = "skip"
        if not isinstance(test, unittest.TestCase):
            self.write(test, "skip")

    def addExpectedFailure(self, test, error) -> None:
        super().addExpectedFailure(test, error)
        self.outcome = "expected failure"

    def addUnexpectedSuccess(self, test) -> None:
        super().addUnexpectedSuccess(test)
        self.outcome = "unexpected success"

    def addSubTest(self, test, subtest, error) -> None:
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.outcome = "fail"


def without_excluded(suite: unittest.TestSuite, excluded) -> unittest.TestSuite:
    kept = unittest.TestSuite()
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            kept.addTest(without_excluded(item, excluded))
        elif not excluded(item.id()):
            kept.addTest(item)
    return kept


def main() -> int:
    module, path = sys.argv[1:3]
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(os.environ["DATA"], "../harness"))
    import compare

    sys.path.pop(0)
    expected = compare.read_expected(pathlib.Path(os.environ["EXPECTED"]))
    support.use_resources = ["subprocess"]  # No network, no sound, no windows, no gigabytes.
    suite = unittest.defaultTestLoader.loadTestsFromName("test." + module)
    with open(path, "w") as Recorder.output:
        runner = unittest.TextTestRunner(verbosity=2, resultclass=Recorder)
        result = runner.run(without_excluded(suite, expected.is_excluded))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    faulthandler.enable()
    sys.exit(main())
