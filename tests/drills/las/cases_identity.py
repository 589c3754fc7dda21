"""Whoever is not a fresh, genuine, untouched runtime gets no evidence. Each drill first shows that the attack works
against a service that believes the kernel's answer to who connected."""
import os
import subprocess

from bench import (Evidence, Skipped, as_nobody, describe, expect_control, expect_one_line, expect_refusal)


def drill_forged_executable_link(bench):
    """Power: an unprivileged user who may create user namespaces."""
    control = bench.attack("forged_link", bench.serve_naively().socket, bench.runtime)
    if "NO-USER-NAMESPACES" in control:
        raise Skipped("user namespaces are not for unprivileged users here")
    expect_control(control)
    expect_refusal(bench.attack("forged_link", bench.serve().socket, bench.runtime), "user namespace")


def connect_then_exec(bench, how):
    def attack(service):
        return bench.attack("connect_then_exec", how, service.socket, bench.new_name(), bench.casemate)
    expect_control(attack(bench.serve_naively()))
    return attack(bench.serve())


def drill_connect_then_exec_with_an_inherited_connection(bench):
    """Power: any user."""
    expect_refusal(connect_then_exec(bench, "inherited"), "other sender")


def drill_connect_then_exec_with_a_passed_connection(bench):
    """Power: any user."""
    expect_refusal(connect_then_exec(bench, "passed"), "other sender")


def drill_hello_sent_before_the_exec(bench):
    """Power: any user. The service looks at once, and may see the attacker or, if it was quick, the runtime."""
    expect_refusal(connect_then_exec(bench, "prepared"), "not executable", "program mapped", "image replaced",
                   "other sender")


def drill_program_answers_for_the_runtime_before_it(bench):
    """Power: any user, and a program of theirs under the runtime."""
    def attack(service):
        return bench.attack("late_answer", service.socket, bench.new_name(), bench.casemate)
    expect_control(attack(bench.serve_naively()))
    expect_refusal(attack(bench.serve()), "program mapped")


def run_program(bench, *words, attest=None, **options):
    """A program under the runtime; returns the last line it printed."""
    options.setdefault("preexec_fn", as_nobody)
    before = [] if attest is None else ["--attest=" + attest.socket, "--nonce", "00", "--evidence", bench.new_file()]
    result = bench.call("run", *before, "--", *words, **options)
    lines = result.stdout.decode().strip().split("\n")
    assert lines[-1], describe(result)
    return lines[-1]


def drill_program_asks_itself(bench):
    """Power: code under the runtime, in the process and in a child."""
    for words in ([bench.program("ask_alone")], [bench.program("ask_alone"), "--fork"]):
        expect_control(run_program(bench, *words, bench.serve_naively().socket))
        expect_refusal(run_program(bench, *words, bench.serve().socket), "program mapped")


def drill_program_asks_again_after_its_runtime_had_evidence(bench):
    """Power: code under a runtime that has been attested."""
    service = bench.serve()
    expect_refusal(run_program(bench, bench.program("ask_alone"), service.socket, attest=service), "program mapped")
    assert bench.status(service)["evidence_given"] == 1, bench.status(service)


def drill_program_asks_over_an_inherited_descriptor(bench):
    """Power: whoever starts the run, and code under the runtime."""
    def attack(service):
        import socket
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            # The connection must be the runtime's own by SO_PEERCRED: made by the process that becomes it.
            def connect():
                as_nobody()
                connection.connect("\0" + service.socket[1:])
            os.set_inheritable(connection.fileno(), True)
            return run_program(bench, bench.program("ask_alone"), "--fd", str(connection.fileno()),
                               preexec_fn=connect, pass_fds=[connection.fileno()])
    expect_control(attack(bench.serve_naively()))
    expect_refusal(attack(bench.serve()), "program mapped")


def inject(bench, how, service, casemate=None):
    evidence = bench.new_file()
    command = [bench.program("inject"), how, casemate or bench.casemate, "run", "--attest=" + service.socket, "--nonce",
               "00", "--evidence", evidence, "--", "/bin/true"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            timeout=60, preexec_fn=as_nobody, env={})
    with open(evidence, "rb") as file:
        return result, file.read()


def drill_traced_runtime(bench):
    """Power: the user who starts the run."""
    result, evidence = inject(bench, "nonce", bench.serve_naively())
    assert result.returncode == 0 and b"nonce evil" in evidence, describe(result)
    result, evidence = inject(bench, "nonce", bench.serve())
    expect_one_line(result, 125, "traced")
    assert evidence == b"", evidence


def drill_code_changed_by_a_tracer_that_left(bench):
    """Power: the user who starts the run."""
    result, evidence = inject(bench, "code", bench.serve_naively())
    assert result.returncode == 0 and evidence, describe(result)
    result, evidence = inject(bench, "code", bench.serve())
    expect_one_line(result, 125, "code in memory was changed")
    assert evidence == b"", evidence


def set_group_installation(bench):
    if os.getuid() != 0:
        raise Skipped("installing a set-group-id runtime takes root")
    group = 54321
    os.chown(bench.runtime, 0, group)
    os.chmod(bench.runtime, 0o2755)
    return group


def drill_data_changed_by_a_tracer_that_left(bench):
    """Power: the user who starts the run. Looking cannot find this (the control is the service without --group): data
    differs from run to run. A set-group-id runtime closes it: the kernel gives a traced process no group."""
    group = set_group_installation(bench)
    result, evidence = inject(bench, "data", bench.serve())
    assert result.returncode == 0 and Evidence(evidence).checks == 1, describe(result)
    service = bench.serve("--group", str(group))
    result, evidence = inject(bench, "data", service)
    expect_one_line(result, 125, "group")
    assert evidence == b"", evidence
    result, evidence = bench.ask(service)
    assert result.returncode == 0 and Evidence(evidence).checks == 3, describe(result)


def drill_set_group_is_given_up_before_the_program(bench):
    """Power: code under the runtime."""
    group = set_group_installation(bench)
    service = bench.serve("--group", str(group))
    result = bench.call("run", "--attest=" + service.socket, "--nonce", "00", "--evidence", bench.new_file(), "--",
                        "/bin/sh", "-c", "grep ^Gid /proc/self/status; exec grep ^Gid /proc/self/status",
                        preexec_fn=as_nobody)
    assert result.stdout == b"Gid:\t65534\t65534\t65534\t65534\n" * 2, describe(result)
    expect_refusal(run_program(bench, bench.program("ask_alone"), service.socket), "group")


def drill_runtime_without_privileges_gets_no_group(bench):
    """Power: the user who starts the run, behind no_new_privs (where a seccomp filter needs no privileges)."""
    group = set_group_installation(bench)

    def without_privileges():
        as_nobody()
        import ctypes
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
    result, evidence = bench.ask(bench.serve("--group", str(group)), preexec_fn=without_privileges)
    expect_one_line(result, 125, "group")
    assert evidence == b"", evidence


def drill_system_calls_answered_by_the_attacker(bench):
    """Power: the user who starts the run: a seccomp filter can answer the runtime's calls with anything."""
    import ctypes
    import struct

    def filtered():
        as_nobody()
        code = struct.pack("<HBBI", 6, 0, 0, 0x7fff0000)  # allows everything: its existence is what counts
        buffer = ctypes.create_string_buffer(code)
        description = struct.pack("<HxxxxxxQ", 1, ctypes.addressof(buffer))
        libc = ctypes.CDLL(None)
        libc.prctl(38, 1, 0, 0, 0)
        if libc.prctl(22, 2, description, 0, 0) != 0:
            os._exit(99)
    result, evidence = bench.ask(bench.serve_naively(), preexec_fn=filtered)
    assert result.returncode == 0 and evidence, describe(result)
    result, evidence = bench.ask(bench.serve(), preexec_fn=filtered)
    expect_one_line(result, 125, "seccomp")
    assert evidence == b"", evidence


def drill_runtime_that_its_user_may_write(bench):
    """Power: an unprivileged user with a copy of the runtime: it could be changed after the measurement."""
    if os.getuid() != 0:
        raise Skipped("the service must be another user's")
    place = bench.path("own")
    os.mkdir(place)
    for name in ("casemate", "casemate-runtime"):
        with open(os.path.join(os.path.dirname(bench.casemate), name), "rb") as source:
            with open(os.path.join(place, name), "wb") as target:
                target.write(source.read())
        os.chmod(target.name, 0o755)
        os.chown(target.name, 65534, 65534)

    def ask(service):
        evidence = bench.new_file()
        result = subprocess.run([os.path.join(place, "casemate"), "run", "--attest=" + service.socket, "--nonce", "00",
                                 "--evidence", evidence, "--", "/bin/true"], stdin=subprocess.DEVNULL, env={},
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=as_nobody, timeout=60)
        with open(evidence, "rb") as file:
            return result, file.read()
    result, evidence = ask(bench.serve())
    expect_one_line(result, 125, "others may write")
    assert evidence == b"", evidence
