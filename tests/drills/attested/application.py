"""The application of the drills: a small program with a library of its own and a configuration file. It gets a secret as
an argument, as a variable and in a file, as programs do, and uses it: it prints a keyed sum, never the secret.
"""
import os
import re
import signal
import subprocess

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
const char *greet(const char *secret);
int main(int count, char **words) {
  char line[200] = "", *secret = getenv("TOKEN");
  FILE *file = fopen(words[1], "r");
  if (count < 3 || !secret || !file || !fgets(line, sizeof(line), file)) return 9;
  line[strcspn(line, "\n")] = 0;
  unsigned sum = 7;
  for (const char *at = secret; *at; ++at) sum = sum * 31 + (unsigned char)*at;
  printf("%s %s %u %d\n", greet(secret), line, sum, strcmp(secret, words[2]) == 0);
  fflush(stdout);
  if (count > 3 && strcmp(words[3], "wait") == 0) pause();
  if (count > 3 && strcmp(words[3], "crash") == 0) abort();
  return 0;
}
"""
LIBRARY = 'const char *greet(const char *secret) { (void)secret; return "hello"; }\n'
EVIL_LIBRARY = "const char *greet(const char *secret) { return secret; }\n"
EVIL_PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
int main(void) { puts(getenv("TOKEN")); return 0; }
"""


started = []  # programs that stop_all() ends


def compile_c(place, text, *words):
    source = place.write("source.c", text)
    subprocess.run(["cc", "-O1", "-o", *words[:1], source, *words[1:]], cwd=place.directory, check=True,
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.unlink(source)


def build(place):
    compile_c(place, LIBRARY, "libgreet.so", "-shared", "-fPIC")
    compile_c(place, PROGRAM, "app", "-L.", "-lgreet", "-Wl,-rpath," + place.directory)
    place.write("app.conf", "colour=blue\n")


def write_policy(place, secret=None, word="go"):
    """`secret`: an explicit value; None: generated."""
    place.init("./app", place.path("app.conf"), "ARGUMENT", word)

    def change(text):
        text = text.replace('"ARGUMENT"', '"$$CASEMATE::token$$"')
        text = text.replace("      PATH:", "      TOKEN: $$CASEMATE::token$$\n      PATH:", 1)
        text = text.replace("    regions:\n", "    injection_files: [{path: /etc/token, content: "
                            "\"token=$$CASEMATE::token$$\\n\"}]\n    regions:\n", 1)
        return text + "secrets: [{name: token, kind: ascii, %s}]\n" % ("size: 32" if secret is None else "value: " + secret)
    place.edit(change)


def run_natively(place, secret, word="go", **options):
    """As without Casemate: the secret in an argument, in the environment."""
    return subprocess.run(["./app", place.path("app.conf"), secret, word], cwd=place.directory, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={"TOKEN": secret, "PATH": "/bin"}, timeout=60, text=True, **options)


def start(place, words, environment=None, **options):
    """A program that goes on; returns it and its first line."""
    program = subprocess.Popen(words, cwd=place.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=environment or {"PATH": "/usr/bin:/bin", "HOME": place.directory}, **options)
    started.append(program)
    line = program.stdout.readline().decode()
    assert line, program.communicate()[1].decode()
    return program, line


def stop(program):
    program.send_signal(signal.SIGKILL)
    program.communicate()


def stop_all():
    while started:
        program = started.pop()
        if program.poll() is None:
            stop(program)


def policy_words(place):
    return [place.casemate, "run", "--quiet", "--state", place.state, "--policy", "policy.yml"]


def facts(place):
    """The platform's key and the measurement that the policy pins: no secrets."""
    with open(place.path("policy.yml")) as file:
        text = file.read()
    return re.search(r"platforms: \[([0-9a-f]{64})\]", text).group(1), re.search(r"mrenclave: \[([0-9a-f]{64})\]", text).group(1)
