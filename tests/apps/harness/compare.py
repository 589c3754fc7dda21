"""Decides whether a run under the runtime did the same as the native one.

Two kinds of cases:
- text: both wrote the same bytes to standard output.
- outcomes: both wrote lines "id<TAB>outcome" (a test of somebody else's suite). Differences must stand in the case's
  list, and whatever stands there must still differ: the list can only shrink.

A list has lines of tab-separated fields, `#` starts a comment:
  differs   ID  NATIVE  RUNTIME  reason     the runtime's outcome is another one, and why that is accepted
  unstable  ID  reason                      the native outcome changes from run to run: not compared
  exclude   ID  reason                      never run (read by the case itself)
IDs are shell patterns (fnmatch) for unstable and exclude, and exact for differs. NATIVE may be * where the kernel
decides it.
"""

import dataclasses
import difflib
import fnmatch
import pathlib

MISSING = "missing"
ANY = "*"
MAX_SHOWN_LINES = 60


@dataclasses.dataclass
class ExpectedList:
    differs: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    unstable: list[str] = dataclasses.field(default_factory=list)
    exclude: list[str] = dataclasses.field(default_factory=list)

    def is_unstable(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.unstable)

    def is_excluded(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.exclude)


FIELD_COUNT = {"differs": 5, "unstable": 3, "exclude": 3}


def read_expected(path: pathlib.Path) -> ExpectedList:
    """Errors: ValueError that names the line, also when a reason is missing."""
    expected = ExpectedList()
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("\t") if field.strip()]
        if fields[0] not in FIELD_COUNT or len(fields) != FIELD_COUNT[fields[0]]:
            raise ValueError(f"{path}:{number}: not a valid entry: {line!r}")
        if fields[0] == "differs":
            expected.differs[fields[1]] = (fields[2], fields[3])
        else:
            getattr(expected, fields[0]).append(fields[1])
    return expected


def read_expected_in_volumes(path: pathlib.Path) -> ExpectedList:
    """A case's list and, beside it, NAME-volumes.txt, which counts in addition and first."""
    expected = read_expected(path)
    beside = path.with_name(f"{path.stem}-volumes.txt")
    if beside.exists():
        more = read_expected(beside)
        expected.differs.update(more.differs)
        expected.unstable += more.unstable
    return expected


def read_case_differences(path: pathlib.Path) -> dict[str, str]:
    """Whole cases that end differently, each with its reason: lines "case<TAB>reason"."""
    reasons = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, reason = line.partition("\t")
        if not reason.strip():
            raise ValueError(f"{path}:{number}: no reason: {line!r}")
        reasons[name.strip()] = reason.strip()
    return reasons


def parse_outcomes(text: str) -> dict[str, str]:
    outcomes = {}
    for line in text.splitlines():
        name, separator, outcome = line.partition("\t")
        if separator:
            outcomes[name] = outcome
    return outcomes


def compare_text(native: str, runtime: str) -> list[str]:
    if native == runtime:
        return []
    lines = list(difflib.unified_diff(native.splitlines(), runtime.splitlines(), "native", "runtime", lineterm="", n=2))
    if len(lines) > MAX_SHOWN_LINES:
        lines = lines[:MAX_SHOWN_LINES] + ["..."]
    return ["output differs:"] + (lines or ["(only in line ends)"])


def compare_outcomes(native: dict[str, str], runtime: dict[str, str], expected: ExpectedList) -> list[str]:
    """Returns what is wrong, one line each; empty if every difference is in the list and every entry still true."""
    problems = []
    for name in sorted(native.keys() | runtime.keys()):
        if expected.is_unstable(name):
            continue
        before, after = native.get(name, MISSING), runtime.get(name, MISSING)
        listed = expected.differs.get(name)
        if listed is None:
            if before != after:
                problems.append(f"{name}: native {before}, runtime {after}")
        elif before == after:
            problems.append(f"{name}: listed as a difference but is {after} both times: remove it from the list")
        elif listed[1] != after or listed[0] not in (before, ANY):
            problems.append(f"{name}: listed as {listed[0]} -> {listed[1]}, seen {before} -> {after}")
    return problems
