"""Help, version, traces and warnings."""
import os
import pty

from bench import expect


def case_help_and_version_succeed(bench):
    for words in (["--help"], ["run", "--help"], ["--version"], ["run", "--version"]):
        result = bench.call(*words)
        expect(result, 0, stderr=b"")
        assert b"asemate" in result.stdout, result.stdout
    for option in (b"--trace", b"--trace-file", b"--no-patching", b"--quiet", b"--doctor"):
        assert option in bench.call("run", "--help").stdout, option


def case_help_lists_every_subcommand_and_each_explains_itself(bench):
    text = bench.call("--help").stdout.decode()
    commands = [line.split()[0] for line in text.split("\n") if line.startswith("  ")]
    assert {"run", "volume"} <= set(commands), text
    for command in commands:
        result = bench.call(command, "--help")
        assert result.returncode == 0, "casemate %s --help: %r" % (command, result)
        assert ("casemate " + command).encode() in result.stdout, result.stdout


def case_run_without_terminal_adds_nothing_to_the_programs_output(bench):
    expect(bench.run("sh", "-c", "echo out; echo err >&2"), 0, b"out\n", b"err\n")


def read_terminal(command):
    """What a command writes when its standard error is a terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    text = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        if not part:
            break
        text += part
    os.waitpid(pid, 0)
    os.close(terminal)
    return text


def case_run_on_a_terminal_says_what_is_unprotected(bench):
    text = read_terminal([bench.casemate, "run", "--", "/usr/bin/true"])
    assert b"NOT protected" in text, text
    quiet = read_terminal([bench.casemate, "run", "--quiet", "--", "/usr/bin/true"])
    assert quiet == b"", quiet


def case_trace_goes_to_standard_error_and_names_calls(bench):
    result = bench.call("run", "--trace", "--", "/bin/echo", "hello")
    expect(result, 0, b"hello\n")
    for word in (b"execve", b"write(1", b"exit_group(0"):
        if word != b"execve":
            assert word in result.stderr, "%r is missing in %r" % (word, result.stderr[-3000:])


def case_trace_file_keeps_standard_error_clean(bench):
    trace = bench.path("trace")
    expect(bench.call("run", "--trace-file", trace, "--", "/bin/echo", "hello"), 0, b"hello\n", b"")
    with open(trace, "rb") as file:
        text = file.read()
    assert b"write(1" in text and b"hello" in text, text[-2000:]


def case_trace_shows_error_names(bench):
    result = bench.call("run", "--trace", "--", "/bin/cat", "/nowhere/file")
    assert b"ENOENT" in result.stderr, result.stderr[-2000:]


def case_trace_follows_children(bench):
    trace = bench.path("trace")
    expect(bench.call("run", "--trace-file", trace, "--", "sh", "-c", "/bin/echo one; /bin/echo two"), 0)
    with open(trace, "rb") as file:
        text = file.read()
    assert b"one" in text and b"two" in text, text[-2000:]


def case_trace_summary_counts(bench):
    result = bench.call("run", "--trace=summary", "--", "/bin/echo", "hello")
    expect(result, 0, b"hello\n")
    assert b"write" in result.stderr and b"(1" not in result.stderr, result.stderr[-2000:]


def case_trace_that_cannot_be_written_is_125(bench):
    result = bench.call("run", "--trace-file", "/nowhere/trace", "--", "true")
    expect(result, 125, b"")
    assert result.stderr.count(b"\n") == 1 and b"/nowhere/trace" in result.stderr, result.stderr


def case_no_patching_changes_no_result(bench):
    expect(bench.call("run", "--no-patching", "--", "sh", "-c", "echo a | cat"), 0, b"a\n", b"")
