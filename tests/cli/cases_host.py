"""Hosts that lack something: simulated by seccomp filters that answer single calls with an error, and the doctor."""
import ctypes
import json
import os
import struct

from bench import expect, expect_refusal

PRCTL, MEMFD_CREATE, MEMFD_SECRET, UNSHARE = 157, 319, 447, 272
SYSCALL_USER_DISPATCH = 59
EPERM, EINVAL, ENOSYS = 1, 22, 38


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def refuse(number, error, first_argument=None):
    """Returns a function that makes the kernel answer the call with the error, from now on and in all children."""
    load, equal, answer = 0x20, 0x15, 0x06
    program = [(load, 0, 0, 0)]
    if first_argument is None:
        program += [(equal, 0, 1, number)]
    else:
        program += [(equal, 0, 3, number), (load, 0, 0, 16), (equal, 0, 1, first_argument)]
    program += [(answer, 0, 0, 0x50000 | error), (answer, 0, 0, 0x7fff0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in program))
    libc = ctypes.CDLL(None, use_errno=True)

    def install():
        description = Filter(len(program), ctypes.addressof(code))
        if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.byref(description), 0, 0) != 0:
            os._exit(99)
    return install


def findings(bench, **options):
    result = bench.call("run", "--doctor", "--json", **options)
    document = json.loads(result.stdout)
    assert result.returncode == (0 if document["can_run_programs"] else 1), result.returncode
    return document["can_run_programs"], {finding["id"]: finding for finding in document["findings"]}


def case_kernel_without_dispatch_is_one_line(bench):
    result = bench.run("true", preexec_fn=refuse(PRCTL, EINVAL, SYSCALL_USER_DISPATCH))
    expect_refusal(result, 125, "Syscall User Dispatch", "CONFIG_GENERIC_ENTRY", "--doctor")


def case_profile_that_refuses_dispatch_is_one_line(bench):
    result = bench.run("true", preexec_fn=refuse(PRCTL, EPERM, SYSCALL_USER_DISPATCH))
    expect_refusal(result, 125, "Syscall User Dispatch", "seccomp")


def case_kernel_without_memory_files_is_one_line(bench):
    expect_refusal(bench.run("true", preexec_fn=refuse(MEMFD_CREATE, ENOSYS)), 125, "memory file")


def case_casemate_inside_casemate_is_one_line(bench):
    result = bench.run(bench.casemate, "run", "--", "true")
    assert result.returncode == 125, result
    assert b"Syscall User Dispatch" in result.stderr and b"Casemate inside Casemate" in result.stderr, result.stderr


def case_doctor_prints_one_line_per_finding(bench):
    result = bench.call("run", "--doctor")
    expect(result, 0, stderr=b"")
    lines = result.stdout.decode().rstrip("\n").split("\n")
    assert lines[-1].startswith("Programs run"), lines[-1]
    able, found = findings(bench)
    assert able and len(lines) == len(found) + 2, (len(lines), len(found))


def case_doctor_sees_a_kernel_without_dispatch(bench):
    able, found = findings(bench, preexec_fn=refuse(PRCTL, EINVAL, SYSCALL_USER_DISPATCH))
    assert not able and found["syscall_user_dispatch"]["verdict"] == "REQUIRED", found["syscall_user_dispatch"]
    assert found["seccomp"]["value"] == "filter", found["seccomp"]


def case_doctor_sees_what_is_missing_and_still_runs_programs(bench):
    able, found = findings(bench, preexec_fn=refuse(MEMFD_SECRET, ENOSYS))
    assert able and found["memfd_secret"]["verdict"] == "missing", found["memfd_secret"]
    able, found = findings(bench, preexec_fn=refuse(UNSHARE, EPERM))
    assert able and found["user_namespaces"]["verdict"] == "limited", found["user_namespaces"]
