"""Bad input: one clear line that names what and where, the exit code of shells (126, 127) or 125, nothing left behind."""
import os
import resource
import subprocess

from bench import Skipped, elf, expect, expect_refusal


def case_usage_mistakes_exit_with_125(bench):
    for words in ([], ["run"], ["run", "--"], ["run", "--bogus", "--", "true"], ["run", "--trace=all", "--", "true"],
                  ["run", "--trace-file"], ["run", "--json", "--", "true"], ["run", "--doctor", "--", "true"],
                  ["fly"], ["--bogus"]):
        expect_refusal(bench.call(*words), 125, "--help")


def case_missing_program_exits_with_127(bench):
    expect_refusal(bench.run("no-such-program"), 127, "no-such-program", "PATH")
    expect_refusal(bench.run("./no-such-program"), 127, "./no-such-program")
    expect_refusal(bench.run(""), 127, "empty")


def case_path_through_a_file_exits_with_126(bench):
    expect_refusal(bench.run("/usr/bin/true/x"), 126, "/usr/bin/true/x", "not a directory")


def case_directory_exits_with_126(bench):
    expect_refusal(bench.run("/etc"), 126, "/etc", "directory")


def case_file_without_permission_exits_with_126(bench):
    bench.file("tool", "#!/bin/sh\n", 0o644)
    expect_refusal(bench.run("./tool"), 126, "./tool", "chmod +x")


def case_device_and_fifo_exit_with_126_without_hanging(bench):
    os.mkfifo(bench.path("fifo"), 0o777)
    expect_refusal(bench.run("./fifo"), 126, "./fifo")
    expect_refusal(bench.run("/dev/null"), 126, "/dev/null")


def case_minimal_elf_of_this_suite_runs(bench):
    """The control for all broken ones below."""
    bench.file("good", elf())
    expect(bench.run("./good"), 0, b"", b"")


def case_32_bit_program_exits_with_126(bench):
    bench.file("old", elf(machine=3, bits=32))
    expect_refusal(bench.run("./old"), 126, "./old", "32")


def case_program_for_another_machine_exits_with_126(bench):
    bench.file("arm", elf(machine=183))
    expect_refusal(bench.run("./arm"), 126, "./arm", "aarch64")
    bench.file("odd", elf(machine=4711))
    expect_refusal(bench.run("./odd"), 126, "./odd")


def case_truncated_elf_exits_with_126_at_every_length(bench):
    whole = elf(interpreter="/lib64/ld-linux-x86-64.so.2")
    for size in (5, 16, 52, 63, 64, 65, 119, 120, 121, 175, len(whole) - 1):
        bench.file("cut", whole[:size])
        expect_refusal(bench.run("./cut"), 126, "./cut")


def case_corrupt_elf_headers_are_refused_as_the_kernel_does(bench):
    """The kernel looks at some fields of the header only: where it starts the program, so must the runtime."""
    refused = 0
    for offset, value in ((0, 0), (4, 9), (5, 2), (16, 1), (18, 0), (32, 0xff), (54, 1), (56, 0)):
        broken = bytearray(elf())
        broken[offset] = value
        bench.file("bad", bytes(broken))
        try:
            native = bench.execute(["./bad"]).returncode
        except OSError:
            native = None
        if native is None:
            expect_refusal(bench.run("./bad"), 126, "./bad")
            refused += 1
        else:
            expect(bench.run("./bad"), native)
    assert refused >= 4, refused


def case_missing_elf_interpreter_is_named(bench):
    bench.file("lost", elf(interpreter="/nowhere/ld.so"))
    result = bench.run("./lost")
    expect_refusal(result, 127, "./lost", "interpreter")


def case_empty_file_and_unknown_format_exit_with_126(bench):
    """A shell would try to read them as shell scripts; execve and env(1) do not."""
    bench.file("empty", b"")
    expect_refusal(bench.run("./empty"), 126, "./empty")
    bench.file("text", "echo hello\n")
    expect_refusal(bench.run("./text"), 126, "./text")


def case_script_with_missing_interpreter_is_127(bench):
    bench.file("script", "#!/nowhere/sh\n")
    expect_refusal(bench.run("./script"), 127, "./script", "interpreter")


def case_script_with_unusable_interpreter_is_126(bench):
    bench.file("plain", "no program", 0o644)
    bench.file("script", "#!%s\n" % bench.path("plain"))
    expect_refusal(bench.run("./script"), 126, "./script", "interpreter")
    bench.file("nothing", "#!\n")
    expect_refusal(bench.run("./nothing"), 126, "./nothing")


def case_script_that_names_itself_ends(bench):
    path = bench.path("loop")
    bench.file("loop", "#!%s\n" % path)
    expect_refusal(bench.run("./loop"), 126, "./loop")


def as_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def case_program_that_cannot_be_read_is_126(bench):
    if os.getuid() != 0:
        raise Skipped("needs root to become another user")
    casemate = bench.installation()
    bench.file("hidden", elf(), 0o711)
    expect_refusal(bench.run("./hidden", casemate=casemate, preexec_fn=as_nobody), 126, "./hidden", "read")
    bench.file("open", elf(), 0o755)
    expect(bench.run("./open", casemate=casemate, preexec_fn=as_nobody), 0)


def case_set_user_id_program_is_126(bench):
    if os.getuid() != 0:
        raise Skipped("needs root to become another user")
    casemate = bench.installation()
    path = bench.file("setuid", elf())
    os.chmod(path, 0o4755)
    expect_refusal(bench.run("./setuid", casemate=casemate, preexec_fn=as_nobody), 126, "set-user-ID")


def case_casemate_without_its_runtime_is_125(bench):
    expect_refusal(bench.run("true", casemate=bench.installation(runtime=False)), 125, "casemate-runtime")


def case_runtime_started_directly_says_how(bench):
    runtime = os.path.join(os.path.dirname(bench.casemate), "casemate-runtime")
    expect_refusal(bench.execute([runtime]), 125, "casemate run")


def case_no_environment_variable_replaces_the_runtime(bench):
    environment = {"PATH": "/usr/bin:/bin", "CASEMATE_RUNTIME": "/bin/false", "CASEMATE_RUNTIME_PATH": "/bin/false",
                   "LD_PRELOAD": "/nowhere.so"}
    result = bench.run("/usr/bin/printf", "ok", env=environment)
    expect(result, 0, b"ok")


def limited(kind, value):
    return lambda: resource.setrlimit(kind, (value, value))


def case_exhausted_descriptors_is_one_line(bench):
    for count in (3, 4, 5, 6):
        result = bench.run("true", preexec_fn=limited(resource.RLIMIT_NOFILE, count))
        assert result.returncode in (125, 126), result
        expect_refusal(result, result.returncode)


def case_few_descriptors_are_enough(bench):
    bench.file("good", elf())
    expect(bench.run("./good", preexec_fn=limited(resource.RLIMIT_NOFILE, 16)), 0, b"", b"")


def case_exhausted_address_space_is_one_line(bench):
    """Too little for the runtime: a line. Where it suffices for the runtime but not for the program: its own line."""
    refused = 0
    # With less than its image takes, the kernel kills any static program before its first instruction.
    image = os.path.getsize(bench.casemate)
    for size in range(image, image + (8 << 20), 1 << 20):
        limit = limited(resource.RLIMIT_AS, size)
        if bench.call("--version", preexec_fn=limit).returncode != 0:
            continue
        result = bench.run("/usr/bin/true", preexec_fn=limit)
        if result.returncode == 0:
            continue
        refused += 1
        assert result.returncode > 0, "died by a signal with %d bytes: %r" % (size, result)
        assert result.stderr.count(b"\n") == 1, result
    if refused == 0:
        raise Skipped("what lets casemate itself start suffices here")


def case_too_long_arguments_is_one_line(bench):
    stack = limited(resource.RLIMIT_STACK, 1 << 20)
    try:
        result = bench.run("true", "x" * 120000, "y" * 120000, preexec_fn=stack)
    except OSError:
        raise Skipped("the kernel refuses before casemate starts")
    expect(result, 0)


def case_failure_leaves_no_process_behind(bench):
    marker = bench.directory
    for words in (("no-such",), ("/etc",)):
        bench.run(*words)
    found = subprocess.run(["pgrep", "-f", marker], stdout=subprocess.PIPE)
    assert found.stdout == b"", found.stdout
