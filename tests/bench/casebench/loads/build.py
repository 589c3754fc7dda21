"""`make -j2` of a small generated C project: many short processes, pipes, temporary files, path calls."""

import os
import time

from ..launch import run_program
from ..model import LOWER, Load, Metric, run_native

SOURCES = 60
FUNCTIONS = 40

HEADER = """#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
struct record { uint64_t key; double weight; char name[48]; };
"""

FUNCTION = """
double work_{source}_{index}(struct record* records, size_t count) {{
  double sum = {index};
  for (size_t i = 0; i < count; ++i) {{
    if (records[i].key % {modulus} == 0) sum += sqrt(records[i].weight) * {index};
    else snprintf(records[i].name, sizeof(records[i].name), "%zu:%llu", i, (unsigned long long)records[i].key);
  }}
  return sum;
}}
"""

MAKEFILE = """OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))
program: $(OBJECTS)
\tgcc -o $@ $^ -lm
%.o: %.c project.h
\tgcc -O1 -c -o $@ $<
clean:
\trm -f program $(OBJECTS)
"""


def prepare_project(context):
    directory = context.path("project")
    os.mkdir(directory)

    def write(name, text):
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.write(text)

    write("project.h", HEADER)
    write("Makefile", MAKEFILE)
    sources = SOURCES // 6 if context.quick else SOURCES
    for source in range(sources):
        bodies = [FUNCTION.format(source=source, index=i, modulus=i + 2) for i in range(FUNCTIONS)]
        write(f"part{source}.c", '#include "project.h"\n' + "".join(bodies))
    calls = "".join(f"  sum += work_{source}_0(&record, 1);\n" for source in range(sources))
    names = "".join(f"double work_{source}_0(struct record*, size_t);\n" for source in range(sources))
    write("main.c", '#include "project.h"\n' + names + "int main(void) {\n  struct record record = {0};\n"
          "  double sum = 0;\n" + calls + "  return sum < 0;\n}\n")


def measure_make(context, mode):
    directory = context.path("project")
    run_native(["make", "-s", "clean"], cwd=directory)
    start = time.monotonic()
    run_program(mode, ["/usr/bin/make", "-s", "-j2"], timeout=300, cwd=directory)
    taken = time.monotonic() - start
    run_native([os.path.join(directory, "program")])
    return {"make.project": taken}


LOADS = (
    Load("make", (Metric("make.project", "make -j2 of a small C project", "s", LOWER),), measure_make,
         prepare=prepare_project, needs=("make", "gcc"), peer_rounds=1),
)
