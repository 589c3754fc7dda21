"""What a program receives must be what it would have received natively: words, environment, descriptors, signals."""
import os
import resource
import signal
import subprocess

from bench import elf, expect


def same_as_native(bench, *words, **options):
    native = bench.execute(list(words), **options)
    under = bench.run(*words, **options)
    expect(under, native.returncode, native.stdout, native.stderr)
    return native


def case_arguments_arrive_unchanged(bench):
    words = ["printf", "[%s]", "", "a b", "--", "--trace", "-x", "\xff\n", "*", "$HOME"]
    same_as_native(bench, *words)


def case_environment_arrives_unchanged(bench):
    environment = {"PATH": "/usr/bin:/bin", "EMPTY": "", "ODD": "a=b c\n", "LD_BIND_NOW": "1"}
    native = same_as_native(bench, "env", "-0", env=environment)
    assert native.stdout.count(b"\0") == len(environment)


def case_environment_may_be_empty(bench):
    same_as_native(bench, "/usr/bin/env", env={})


def case_path_decides_which_program_runs(bench):
    os.makedirs(bench.path("a"))
    os.makedirs(bench.path("b"))
    bench.file("a/tool", "#!/bin/sh\necho a \"$0\" \"$@\"\n", 0o644)
    bench.file("b/tool", "#!/bin/sh\necho b \"$0\" \"$@\"\n")
    path = "%s:%s:/usr/bin:/bin" % (bench.path("a"), bench.path("b"))
    result = bench.run("tool", "1", "2", env={"PATH": path})
    expect(result, 0, ("b %s 1 2\n" % bench.path("b/tool")).encode(), b"")


def case_argv0_is_the_word_the_user_wrote(bench):
    same_as_native(bench, "sh", "-c", "tr '\\0' '\\n' < /proc/$$/cmdline | head -1")


def case_exit_code_is_the_programs(bench):
    for code in (0, 1, 42, 125, 126, 127, 255):
        expect(bench.run("sh", "-c", "exit %d" % code), code, b"", b"")


def case_death_by_signal_is_the_programs(bench):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT):
        expect(bench.run("sh", "-c", "ulimit -c 0; kill -%d $$" % number), -number, b"", b"")


def case_standard_input_is_handed_on(bench):
    expect(bench.execute([bench.casemate, "run", "--", "cat"], stdin=None, input=b"through"), 0, b"through", b"")


def case_closed_standard_descriptors_stay_closed(bench):
    script = "[ -e /proc/self/fd/%d ] && echo open >&3 || echo closed >&3"
    for fd in (0, 1, 2):
        command = "%s run -- sh -c '%s' 3>&1 %d>&-" % (bench.casemate, script % fd, fd)
        if fd == 1:
            command = "exec 3>&1; " + command.replace("3>&1 ", "")
        result = bench.execute(["sh", "-c", command], stdin=None)
        expect(result, 0, b"closed\n")


def case_program_sees_the_descriptors_it_would_have(bench):
    for fd in (3, 9, 1008, 1010):
        source = os.open("/dev/null", os.O_RDONLY)
        os.dup2(source, fd, inheritable=True)
        if source != fd:
            os.close(source)
        try:
            native = same_as_native(bench, "ls", "/proc/self/fd", pass_fds=[fd])
            assert str(fd).encode() in native.stdout.split(), native.stdout
        finally:
            os.close(fd)


def case_ignored_signals_stay_ignored(bench):
    """Two that the runtime leaves to the kernel and two that it takes for itself."""
    numbers = (signal.SIGHUP, signal.SIGPIPE, signal.SIGTRAP, signal.SIGSYS)

    def ignore():
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
    for number in numbers:
        words = ["sh", "-c", "kill -%d $$; echo alive" % number]
        expect(bench.run(*words, preexec_fn=ignore, restore_signals=False), 0, b"alive\n", b"")
        expect(bench.run("sh", "-c", "ulimit -c 0; kill -%d $$; echo alive" % number), -number, b"", b"")


def case_blocked_signals_stay_blocked(bench):
    def block():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGCHLD})
    native = bench.execute(["grep", "SigBlk", "/proc/self/status"], preexec_fn=block)
    under = bench.run("grep", "SigBlk", "/proc/self/status", preexec_fn=block)
    expect(under, 0, native.stdout, b"")


def case_limits_stay(bench):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 100))
        resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, 4 << 20))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    same_as_native(bench, "cat", "/proc/self/limits", preexec_fn=limit)


def case_working_directory_and_mask_stay(bench):
    os.makedirs(bench.path("inner"))
    same_as_native(bench, "sh", "-c", "pwd; umask", cwd=bench.path("inner"), preexec_fn=lambda: os.umask(0o27))


def case_process_stays_the_same(bench):
    """No second process stands between caller and program."""
    process = subprocess.Popen([bench.casemate, "run", "--", "sh", "-c", "echo $$; read line"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"})
    assert int(process.stdout.readline()) == process.pid
    process.communicate(b"\n")


def case_name_of_the_process_is_the_programs(bench):
    bench.file("fourteen-and-more-letters", elf())
    same_as_native(bench, "cat", "/proc/self/comm")
    same_as_native(bench, "sh", "-c", "cat /proc/$$/comm")


def case_installed_layout_is_found(bench):
    """bin/casemate with libexec/casemate/casemate-runtime, started through a link from elsewhere."""
    source = os.path.dirname(bench.casemate)
    os.makedirs(bench.path("p/bin"))
    os.makedirs(bench.path("p/libexec/casemate"))
    for name, target in (("casemate", "p/bin"), ("casemate-runtime", "p/libexec/casemate")):
        subprocess.run(["cp", os.path.join(source, name), bench.path(target)], check=True)
    os.symlink(bench.path("p/bin/casemate"), bench.path("link"))
    expect(bench.run("echo", "found", casemate=bench.path("link")), 0, b"found\n", b"")
