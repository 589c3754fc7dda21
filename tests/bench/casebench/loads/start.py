"""Process start: the whole time a user waits for a program that does nothing, `casemate run` included.

Processor time stands beside elapsed time: it tells what we cost even on a machine that has other work.
"""

from ..launch import numbers_of
from ..model import LOWER, Load, Metric, run_native

EVERYWHERE = ("native", "casemate", "nopie", "runsc")


def start_load(name, title, argv_of, modes=EVERYWHERE, count=60):
    metric = f"start.{name}"

    def measure(context, mode):
        repetitions = 3 if mode.slow else max(5, int(context.seconds(count)))
        command = [context.binary("start_timer"), str(repetitions), *mode.command(argv_of(context))]
        elapsed, processor = numbers_of(run_native(command))
        values = {metric: elapsed / 1e3}
        if not mode.peer:  # the sandbox's work is done in processes that are not its children
            values[metric + "_cpu"] = processor / 1e3
        return values

    return Load(metric, (Metric(metric, title, "ms", LOWER),
                         Metric(metric + "_cpu", "... processor time", "ms", LOWER)), measure, modes)


LOADS = (
    start_load("true", "/bin/true", lambda context: ["/bin/true"]),
    start_load("static", "static program", lambda context: [context.binary("empty")]),
    start_load("shell", "sh -c with three children",
               lambda context: ["/bin/sh", "-c", "/bin/true; /bin/true; /bin/true"], count=30),
    start_load("python", "python3 -c pass", lambda context: ["/usr/bin/python3", "-c", "pass"], count=20),
    start_load("python_imports", "python3 -c 'import ssl, json, asyncio'",
               lambda context: ["/usr/bin/python3", "-c", "import ssl, json, asyncio"], count=10),
)
