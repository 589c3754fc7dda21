"""Micro-benchmarks: programs of ../micro that measure themselves and print one figure."""

from ..launch import number_of, numbers_of, run_program
from ..model import LOWER, Load, Metric

SYSCALLS = (
    ("getppid", "getppid"),
    ("getpid", "getpid through syscall()"),
    ("read_zero", "read 1 byte of /dev/zero"),
    ("write_null", "write 1 byte to /dev/null"),
    ("pread_4k", "pread 4 KiB from a cached file"),
    ("clock_gettime", "clock_gettime, raw call"),
    ("futex_wake", "futex wake, nobody waits"),
    ("poll", "poll one descriptor"),
    ("stat", "stat a path"),
    ("open_close", "open and close a file"),
    ("mmap_munmap", "mmap and munmap a page"),
)
PROCESSES = (
    ("thread", "thread: create and join"),
    ("fork_exit", "fork, exit, wait"),
    ("fork_exit_64m", "fork, exit, wait with 64 MiB"),
    ("fork_exec", "fork, exec /bin/true, wait"),
    ("vfork_exec", "vfork, exec /bin/true, wait"),
    ("spawn", "posix_spawn /bin/true, wait"),
)
SIGNALS = (
    ("self", "signal to oneself with handler"),
    ("segv", "SIGSEGV, handler moves RIP"),
    ("mask", "block and unblock a signal"),
)
EXCHANGES = (
    ("pipe_processes", "pipe ping-pong, processes"),
    ("pipe_threads", "pipe ping-pong, threads"),
    ("unix_processes", "unix socket ping-pong, processes"),
    ("unix_threads", "unix socket ping-pong, threads"),
    ("futex_processes", "shared futex ping-pong, processes"),
)
COMPUTE = (
    ("integer", "integer kernel (sieve, hash, sort)"),
    ("float", "floating point kernel"),
    ("page_faults", "first touch of 32 MiB"),
)
PYTHON_LOOP = """
import time
def work():
    total, table = 0, {}
    for i in range(200000):
        total = (total * 31 + i) % 1000003
        table[total & 1023] = table.get(total & 1023, 0) + 1
    return total
best = None
end = time.perf_counter() + SECONDS
runs = 0
while runs < 5 or time.perf_counter() < end:
    start = time.perf_counter()
    work()
    taken = time.perf_counter() - start
    best = taken if best is None else min(best, taken)
    runs += 1
print(best * 1000)
"""


def program_load(group, program, case, title, unit, modes=("native", "casemate", "runsc"), seconds=0.4):
    name = f"{group}.{case}"

    def measure(context, mode):
        output = run_program(mode, [context.binary(program), case, str(context.seconds(seconds))], timeout=90)
        return {name: number_of(output)}

    return Load(name, (Metric(name, title, unit, LOWER),), measure, modes)


def process_load(case, title):
    """Processor time stands beside elapsed time, which a machine with other work stretches."""
    name = f"process.{case}"
    metrics = (Metric(name, title, "us", LOWER), Metric(name + "_cpu", "... processor time", "us", LOWER))

    def measure(context, mode):
        output = run_program(mode, [context.binary("processes"), case, str(context.seconds(0.8))], timeout=90)
        elapsed, processor = numbers_of(output)
        values = {name: elapsed / 1e3}
        if not mode.peer:  # gVisor's clock for processor time is too coarse
            values[name + "_cpu"] = processor / 1e3
        return values

    return Load(name, metrics, measure)


def measure_python(context, mode):
    program = PYTHON_LOOP.replace("SECONDS", str(context.seconds(1.5)))
    return {"cpu.python": number_of(run_program(mode, ["/usr/bin/python3", "-c", program], timeout=90))}


LOADS = (
    *(program_load("syscall", "syscalls", case, title, "ns", modes=("native", "casemate", "trapped", "runsc"))
      for case, title in SYSCALLS),
    *(process_load(case, title) for case, title in PROCESSES),
    *(program_load("signal", "signals", case, title, "ns") for case, title in SIGNALS),
    *(program_load("exchange", "pingpong", case, title, "ns") for case, title in EXCHANGES),
    *(program_load("cpu", "compute", case, title, "ms", seconds=1.5) for case, title in COMPUTE),
    Load("cpu.python", (Metric("cpu.python", "python3 loop with dict", "ms"),), measure_python),
)
