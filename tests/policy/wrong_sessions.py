"""The table of wrong sessions (data/wrong-sessions.txt): reading it, and asking the command line about all of it at once."""
import os
import subprocess

HEX64 = "5f" * 32
HEX96 = "5f" * 48


class Case:
    def __init__(self, name, line):
        self.name, self.line = name, line
        self.text, self.expected = "", []


def read_table(path):
    cases = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("== "):
                cases.append(Case(line[3:].strip(), number))
            elif line.startswith("-- ") and cases:
                cases[-1].expected.append(line[3:].rstrip("\n"))
            elif cases:
                cases[-1].text += line
    for case in cases:
        case.text = case.text.replace("HEX64", HEX64).replace("HEX96", HEX96)
    return cases


def findings(casemate, directory, cases):
    """For each case the lines that `casemate session check` prints, without the file's name."""
    paths = []
    for index, case in enumerate(cases):
        path = os.path.join(directory, "%d.yml" % index)
        with open(path, "w", encoding="utf-8") as file:
            file.write(case.text)
        paths.append(path)
    done = subprocess.run([casemate, "session", "check", "--literal"] + paths, capture_output=True, timeout=120,
                          encoding="utf-8")
    found = [[] for _ in cases]
    for line in done.stderr.splitlines():
        path, _, rest = line.partition(".yml:")
        found[int(os.path.basename(path))].append(rest.strip())
    return done, found
