"""What a case is: an executable in cases/ whose opening comment declares what it needs.

  # Program: name as printed            # Needs: commands or absolute paths, without which the case is skipped
  # Version: a shell command            # Limit: seconds for one pass (a hang is a failure)
  # Load:    what is done with it       # Compare: outcomes LIST   (see compare.py; default: the text)
"""

import dataclasses
import pathlib
import re
import shutil

SEARCH_PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
FIELD = re.compile(r"^# ([A-Z][a-z]+): *(.*)$")
REQUIRED_FIELDS = ("Program", "Version", "Load", "Needs", "Limit")


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    path: pathlib.Path
    program: str
    version_command: str
    load: str
    needs: tuple[str, ...]
    limit: float
    outcome_list: pathlib.Path | None

    def missing(self) -> list[str]:
        absent = []
        for need in self.needs:
            found = pathlib.Path(need).exists() if need.startswith("/") else shutil.which(need, path=SEARCH_PATH)
            if not found:
                absent.append(need)
        return absent


def read_case(path: pathlib.Path, root: pathlib.Path) -> Case:
    """Errors: ValueError if a required field is missing."""
    fields = {}
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        match = FIELD.match(line)
        if match:
            fields[match[1]] = match[2].strip()
    for field in REQUIRED_FIELDS:
        if field not in fields:
            raise ValueError(f"{path}: no '# {field}:' line in the opening comment")
    outcome_list = None
    if "Compare" in fields:
        kind, _, argument = fields["Compare"].partition(" ")
        if kind != "outcomes":
            raise ValueError(f"{path}: unknown comparison {kind!r}")
        outcome_list = root / argument.strip()
    return Case(
        name=path.name,
        path=path,
        program=fields["Program"],
        version_command=fields["Version"],
        load=fields["Load"],
        needs=tuple(fields["Needs"].split()),
        limit=float(fields["Limit"]),
        outcome_list=outcome_list,
    )


def find_cases(folder: pathlib.Path, root: pathlib.Path, pattern: str) -> list[Case]:
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [read_case(path, root) for path in paths if re.search(pattern, path.name)]
