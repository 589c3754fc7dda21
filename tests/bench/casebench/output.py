"""Tables for the terminal and for Markdown, made from the JSON document of a run."""

import os

from .modes import NAMES
from .stats import figure

SECTIONS = (
    ("System calls", ("syscall.",)),
    ("Threads, processes, signals", ("process.", "signal.")),
    ("Exchanges between processes and threads", ("exchange.",)),
    ("Computation", ("cpu.",)),
    ("Start", ("start.",)),
    ("Servers and databases", ("redis.", "memcached.", "nginx.", "pgbench.", "mariadb.", "sqlite.")),
    ("Encrypted storage", ("storage.",)),
    ("Building software", ("make.",)),
    ("Memory", ("memory.",)),
)


def cell(entry):
    """Median and spread of a mode, or why there is none."""
    if not entry:
        return "-"
    if "median" not in entry:
        return "failed" if "failure" in entry else "-"
    text = figure(entry["median"])
    if len(entry["samples"]) > 1:
        text += f" ({figure(entry['min'])}..{figure(entry['max'])})"
    return text + (" then failed" if "failure" in entry else "")


def ratio_cell(entry):
    found = (entry or {}).get("to_native")
    if not found:
        return "-"
    text = f"{found['ratio']:.3f}" if found["ratio"] < 10 else figure(found["ratio"])
    if len(entry["samples"]) > 1:
        text += f" ({found['min']:.2f}..{found['max']:.2f})"
    return text


def provenance(document):
    """What the executables were: the commit of the machine line is that of the checkout, not necessarily theirs."""
    lines = []
    for name, files in document["executables"].items():
        if files:
            listed = ", ".join(f"{os.path.basename(path)} sha256 {digest}" for path, digest in files.items())
            lines.append(f"{document['modes'][name]['title']}: {listed}")
    if document["changed_during_run"]:
        lines.append("EXECUTABLES CHANGED DURING THE RUN: " + ", ".join(document["changed_during_run"]))
    if document["remark"]:
        lines.append("Remark: " + document["remark"])
    return lines


def used_modes(rows):
    return [name for name in NAMES if any("median" in row["modes"].get(name, {}) for row in rows)]


def table_rows(document):
    """Heading and cells: benchmark, unit, then per mode median and ratio to native."""
    rows = document["results"]
    modes = used_modes(rows)
    heading = ["benchmark", "unit", "better"]
    for name in modes:
        heading.append(document["modes"][name]["title"])
        if name != "native":
            heading.append("/ native")
    cells = []
    for row in rows:
        line = [row["title"], row["unit"], row["better"]]
        for name in modes:
            entry = row["modes"].get(name)
            line.append(cell(entry))
            if name != "native":
                line.append(ratio_cell(entry))
        cells.append(line)
    return heading, cells


def section_tables(document):
    """The table in parts: title, heading and cells; each part has the columns of the modes that it uses."""
    parts = []
    for title, prefixes in SECTIONS:
        rows = [row for row in document["results"] if row["name"].startswith(prefixes)]
        if rows:
            parts.append((title, *table_rows({**document, "results": rows})))
    return parts


def text_table(heading, cells, left_columns=3):
    widths = [max(len(line[i]) for line in [heading, *cells]) for i in range(len(heading))]

    def show(line):
        padded = [text.ljust(width) if i < left_columns else text.rjust(width)
                  for i, (text, width) in enumerate(zip(line, widths))]
        return "  ".join(padded).rstrip()

    return "\n".join([show(heading), "  ".join("-" * width for width in widths), *map(show, cells)])


def markdown_table(heading, cells, left_columns=3):
    escape = [[text.replace("|", "\\|") for text in line] for line in [heading, *cells]]
    rule = ["---" if i < left_columns else "--:" for i in range(len(heading))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [escape[0], rule, *escape[1:]])


def failures(document):
    """One line per load and mode that failed; modes that are missing everywhere are said once."""
    lines = []
    for name, mode in document["modes"].items():
        if mode["reason"] and mode["reason"] != "not asked for":
            lines.append(f"{mode['title']} not measured: {mode['reason']}")
    seen = set()
    for row in document["results"]:
        for name, entry in row["modes"].items():
            reason = entry.get("failure")
            if reason and not document["modes"][name]["reason"] and (row["load"], name) not in seen:
                seen.add((row["load"], name))
                lines.append(f"{row['load']}, {document['modes'][name]['title']}: {reason}")
    return lines


def bar_rows(document):
    heading = ["bar", "must be", "metric", "found", "verdict"]
    keys = ("bar", "must", "title", "found", "verdict")
    return heading, [[verdict[key] or "-" for key in keys] for verdict in document["bars"]]
