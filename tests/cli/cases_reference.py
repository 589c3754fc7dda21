"""Man pages and shell completion: made from the words that the parsers take, so that they say what --help says.

The words themselves are taken from what the program prints for people: every command listed there, every option in its
help. So a command that is missing in the tables behind pages and completion shows.
"""
import os
import re
import shutil
import subprocess

from bench import Skipped

OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]+|-[a-zA-Z])(?![\w-])")


def text_of(bench, *words):
    done = subprocess.run([bench.casemate, *words], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.returncode, done.stderr)
    return done.stdout


def commands(bench):
    """{command's words: help}, of everything that --help leads to."""
    helps = {(): text_of(bench, "--help")}
    for name in re.findall(r"^  ([a-z]+) {2,}\S", helps[()], re.M):
        text = helps[(name,)] = text_of(bench, name, "--help")
        for below in subcommands(name, text):
            helps[(name, below)] = text_of(bench, name, below, "--help")
    helps[("session", "init")] = text_of(bench, "session", "init", "--help")
    for below in re.findall(r"casemate quote collateral ([a-z]+)", text_of(bench, "quote", "collateral", "--help")):
        helps[("quote", "collateral", below)] = text_of(bench, "quote", "collateral", below, "--help")
    assert len(helps) > 50, sorted(helps)
    return helps


def subcommands(name, text):
    if name in ("cas", "session"):
        return re.findall(r"^  ([a-z-]+) +\S", text.split("Subcommands:")[1], re.M)
    if name == "volume":
        return re.findall(r"^  ([a-z]+) +\S", text, re.M)
    found = re.findall(r"^(?:Usage:)? +casemate %s ([a-z]+)\b" % name, text, re.M)
    return set(found) | set(re.findall(r"^  ([a-z]+) (?=SOURCE|FILE|STORE)", text, re.M) if name == "log" else ())


def options_of(text):
    """What the lists of options in a help offer: the beginnings of their lines."""
    names = set()
    for line in text.splitlines():
        found = re.match(r" +((-[a-zA-Z], ?|-[a-zA-Z],)?--?[a-z][a-z-]*.*)", line)
        if found:
            names |= set(OPTION.findall(re.split(r" {2,}|[a-z]\)", found.group(1))[0].split(" TEXT")[0]))
    return names


def page_of(bench, words):
    return text_of(bench, "manual", *words[:1])


def unescaped(page):
    lines = [line[2:] if line.startswith("\\&") else line for line in page.splitlines()]
    return "\n".join(lines).replace("\\-", "-").replace("\\e", "\\")


def case_every_help_stands_in_the_page_of_its_command(bench):
    for words, text in commands(bench).items():
        assert text.strip("\n") in unescaped(page_of(bench, words)), words


def case_pages_are_clean_for_the_formatters_that_are_installed(bench):
    directory = bench.path("pages")
    os.mkdir(directory)
    text_of(bench, "manual", "--directory", directory)
    pages = sorted(name for name in os.listdir(directory) if name.endswith(".1"))
    assert len(pages) == 1 + len([words for words in commands(bench) if len(words) == 1]), pages
    # MANROFFSEQ: no preprocessors; a line of --help may be longer than the screen.
    tools = {"man": ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"], "mandoc": ["mandoc", "-Tlint", "-Wwarning"]}
    tried = 0
    for name in pages:
        path = os.path.join(directory, name)
        for tool, words in tools.items():
            if shutil.which(tool) is None:
                continue
            tried += 1
            done = subprocess.run([*words, path], capture_output=True, text=True, env={**os.environ, "MANWIDTH": "140"})
            said = done.stderr + (done.stdout if tool == "mandoc" else "")
            said = "\n".join(line for line in said.splitlines() if "missing date" not in line)
            assert done.returncode in (0, 2) and not said, (tool, name, said)
    if not tried:
        raise Skipped("neither man nor mandoc is installed")


BASH = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_casemate
printf '%s\n' "${COMPREPLY[@]}"
"""

ZSH = r"""
compdef() { }; _files() { print FILES }; _normal() { print "PROGRAM $words" }
_describe() { local list=$@[-1]; print -rl -- ${(P)list} }
words=("${@:2}"); CURRENT=$(($# - 1))
source "$1"
"""


def complete(bench, shell, script, words):
    program = [shell, "--norc", "-c", BASH, "sh"] if shell == "bash" else [shell, "-f", "-c", ZSH, "sh"]
    done = subprocess.run([*program, script, *words], capture_output=True, text=True, cwd=bench.path(""))
    assert not done.stderr, (shell, words, done.stderr)
    return set(line.strip().split(":")[0] for line in done.stdout.splitlines())


def check_shell(bench, shell):
    if shutil.which(shell) is None:
        raise Skipped("%s is not installed" % shell)
    script = bench.path("script")
    with open(script, "w", encoding="utf-8") as file:
        file.write(text_of(bench, "completion", shell))
    helps = commands(bench)
    for words, text in helps.items():
        offered = complete(bench, shell, script, ["casemate", *words, "-"])
        # The help of several commands is one text: each option of it belongs to one of them.
        family = set(offered)
        for other, its_text in helps.items():
            if its_text == text or other[:len(words)] == words:
                family |= complete(bench, shell, script, ["casemate", *other, "-"])
        missing = options_of(text) - family
        assert not missing, (shell, words, missing)
        unexplained = {name for name in offered if name.startswith("--")} - set(OPTION.findall(text)) - {"--help"}
        assert not unexplained, (shell, words, unexplained)
        below = {other[len(words)] for other in helps if len(other) == len(words) + 1 and other[:len(words)] == words}
        assert below <= complete(bench, shell, script, ["casemate", *words, ""]), (shell, words, below)
    return script


def case_bash_completes_every_command_and_option(bench):
    script = check_shell(bench, "bash")
    with open(bench.path("policy.yml"), "w", encoding="utf-8"):
        pass
    assert "policy.yml" in complete(bench, "bash", script, ["casemate", "run", "--policy", "pol"])
    assert "env" in complete(bench, "bash", script, ["casemate", "run", "--policy", "policy.yml", "--", "env"])
    assert not complete(bench, "bash", script, ["casemate", "run", "--quiet", "ls", "--tr"]) & {"--trace"}


def case_zsh_completes_every_command_and_option(bench):
    script = check_shell(bench, "zsh")
    assert complete(bench, "zsh", script, ["casemate", "run", "--policy", ""]) == {"FILES"}
    assert complete(bench, "zsh", script, ["casemate", "run", "--", "ls", "-"]) == {"PROGRAM ls -"}


def case_completion_of_an_unknown_shell_is_a_mistake(bench):
    for words in (["completion", "fish"], ["completion"], ["manual", "nothing"]):
        done = subprocess.run([bench.casemate, *words], capture_output=True, text=True)
        assert done.returncode == 2 and "--help" in done.stderr, (words, done)
