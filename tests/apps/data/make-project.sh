#!/bin/bash
# Writes a C project: make-project.sh FOLDER COUNT. COUNT source files in a library, built by a recursive make.
set -euo pipefail
folder=$1 count=$2
mkdir -p "$folder/lib" "$folder/bin"
for n in $(seq 1 "$count"); do
  {
    printf '#include "parts.h"\n'
    for f in $(seq 1 12); do
      printf 'static int step%d_%d(int x) { for (int i = 0; i < %d; i++) x = x * 31 + i %% %d; return x; }\n' \
        "$n" "$f" "$((n + f))" "$((f + 1))"
    done
    printf 'int part%d(int x) {\n' "$n"
    for f in $(seq 1 12); do printf '  x ^= step%d_%d(x);\n' "$n" "$f"; done
    printf '  return x;\n}\n'
  } >"$folder/lib/part$n.c"
done
{
  for n in $(seq 1 "$count"); do printf 'int part%d(int x);\n' "$n"; done
} >"$folder/lib/parts.h"
{
  printf '#include <stdio.h>\n#include "lib/parts.h"\nint main(void) {\n  int x = 1;\n'
  for n in $(seq 1 "$count"); do printf '  x = part%d(x);\n' "$n"; done
  printf '  printf("result %%u\\n", (unsigned)x);\n  return 0;\n}\n'
} >"$folder/main.c"
cat >"$folder/Makefile" <<'MAKE'
CFLAGS = -O1 -fwrapv -I.
all: bin/main
bin/main: main.c lib/libparts.a
	$(CC) $(CFLAGS) -o $@ main.c lib/libparts.a
lib/libparts.a: $(wildcard lib/*.c)
	+$(MAKE) -C lib libparts.a
fail: fail1 fail2
fail1:
	@echo first; exit 3
fail2:
	@echo second
clean:
	rm -f bin/main lib/*.o lib/*.a
.PHONY: all clean fail fail1 fail2
MAKE
cat >"$folder/lib/Makefile" <<'MAKE'
CFLAGS = -O1 -fwrapv
objects = $(patsubst %.c,%.o,$(wildcard part*.c))
libparts.a: $(objects)
	ar rcsD $@ $(sort $^)
%.o: %.c parts.h
	$(CC) $(CFLAGS) -c -o $@ $<
MAKE
