"""Files in encrypted volumes beside the same files natively, under gocryptfs and on dm-crypt, on one host file system.

Each measurement gets a fresh place of its mode; what it needs is written there in the mode itself. *Cold* means: no
process of ours is left that cached anything, and the host's page cache is empty.
"""

import os
import re
import shutil
import subprocess
import time

from ..launch import (Server, descendants_of, end_leftovers, free_port, number_of, numbers_of, port_answers,
                      run_program)
from ..model import HIGHER, LOWER, Load, MeasurementFailed, Metric, find_program, run_native
from ..storage import empty_page_cache, native_storage
from .databases import (mariadb, pgbench, postgres, prepare_mariadb, prepare_postgres, sysbench,
                        sysbench_transactions, transactions_per_second)

MODES = ("native", "local", "bounded", "gocryptfs", "dmcrypt")
VOLUMES = ("local", "bounded")
HELD_MIB = 512  # a bar rests on this: engine memory of at most 1 % of it plus 1 MiB
PYTHON = "/usr/bin/python3.11"


def place_of(context, mode):
    return (native_storage() if mode.name == "native" else mode).place(context)


def lasting_place(context, mode):
    """The mode's place for all rounds of a load, and whether it is new."""
    key = (mode.name, "place")
    fresh = key not in context.store
    if fresh:
        context.store[key] = context.exits.enter_context(place_of(context, mode))
    return context.store[key], fresh


def file_load(name, title, unit, case, full, quick, fill=(0, 0), cold=False, rounds=3):
    """`storage_load CASE` with an amount for full and quick runs, on a file of `fill` MiB."""
    metric = f"storage.{name}"

    def run(context, place, what, amount):
        argv = [context.binary("storage_load"), what, place.directory, str(amount)]
        return number_of(run_program(place, argv, timeout=300))

    def measure(context, mode):
        with place_of(context, mode) as place:
            if fill[context.quick]:
                run(context, place, "fill", fill[context.quick])
            if cold:
                place.rest()
                empty_page_cache()
            return {metric: run(context, place, case, quick if context.quick else full)}

    return Load(metric, (Metric(metric, title, unit, HIGHER),), measure, MODES, peer_rounds=rounds)


def sqlite_load(name, title, unit, case, seconds=2.0):
    metric = f"storage.sqlite_{name}"

    def measure(context, mode):
        with place_of(context, mode) as place:
            argv = [context.binary("sqlite_load"), case, place.directory, str(context.seconds(seconds))]
            return {metric: number_of(run_program(place, argv, timeout=120))}

    return Load(metric, (Metric(metric, title, unit, HIGHER),), measure, MODES)


def measure_postgres(context, mode):
    place, fresh = lasting_place(context, mode)
    if fresh:
        place.put(context.path("postgres"))
        place.give_to("postgres")
    port = free_port()
    seconds = str(max(1, round(context.seconds(5))))
    with postgres(context, place, place.directory, port):
        pgbench(port, "-n", "-c", "4", "-T", "1")
        return {"storage.pgbench": transactions_per_second(pgbench(port, "-n", "-c", "4", "-j", "1", "-T", seconds))}


def measure_mariadb(context, mode):
    place, fresh = lasting_place(context, mode)
    if fresh:
        place.put(context.path("mariadb"))
        place.give_to("mysql")
    port = free_port()
    with mariadb(context, place, place.directory, port):
        sysbench(context, port, "run", "--time=1")
        output = sysbench(context, port, "run", f"--time={max(2, round(context.seconds(6)))}")
    return {"storage.mariadb": sysbench_transactions(output)}


def measure_redis(context, mode):
    port = free_port()
    requests = "5000" if context.quick else "20000"
    with place_of(context, mode) as place:
        argv = [find_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "yes", "--appendfsync", "always", "--dir", place.directory, "--loglevel", "warning"]
        with Server(place, argv, context.path(f"redis-{mode.name}.log"), port_answers(port)):
            output = run_native(["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", "8", "-n", requests,
                                 "-t", "set", "-r", "10000", "--csv"], timeout=180)
    found = re.search(r'"SET","([0-9.]+)"', output)
    if not found:
        raise MeasurementFailed("redis-benchmark printed no figure")
    return {"storage.redis_aof": float(found.group(1))}


def prepare_python(context):
    """A directory with an interpreter, its shared libraries and its modules: nothing else of the host is loaded."""
    root = context.path("python")
    os.makedirs(os.path.join(root, "bin"))
    os.makedirs(os.path.join(root, "lib"))
    shutil.copy2(PYTHON, os.path.join(root, "bin", "python3"))
    for path in re.findall(r"=> (/\S+)", run_native(["ldd", PYTHON])):
        shutil.copy2(path, os.path.join(root, "lib"))
    shutil.copytree("/usr/lib/python3.11", os.path.join(root, "lib", "python3.11"), symlinks=True,
                    ignore=shutil.ignore_patterns("dist-packages", "test", "config-*", "idlelib", "ensurepip"))


def measure_start(context, mode):
    with place_of(context, mode) as place:
        place.put(context.path("python"))
        environment = {"LD_LIBRARY_PATH": f"{place.directory}/lib", "PYTHONHOME": place.directory, "LANG": "C"}
        argv = [context.binary("start_timer"), str(max(5, int(context.seconds(30)))),
                f"{place.directory}/bin/python3", "-S", "-c", "pass"]
        return {"storage.start": numbers_of(run_program(place, argv, env=environment))[0] / 1e3}


def seconds_of(action):
    start = time.monotonic()
    action()
    return time.monotonic() - start


def measure_mount(context, mode):
    place, fresh = lasting_place(context, mode)
    empty = context.path("empty")
    if fresh:
        os.makedirs(empty, exist_ok=True)
        size = "1024" if context.quick else "10240"
        run_program(place, [context.binary("storage_load"), "fill", place.directory, size], timeout=600)
    return {"storage.mount_read": seconds_of(lambda: place.tool("info")) * 1e3,
            "storage.mount_write": seconds_of(lambda: place.tool("import", empty)) * 1e3}


def measure_recovery(context, mode):
    with place_of(context, mode) as place:
        load = context.binary("storage_load")
        run_program(place, [load, "fill", place.directory, "64"])
        writer = subprocess.Popen(place.command([load, "sync", place.directory, "1000"]), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL)
        time.sleep(context.seconds(4))
        if writer.poll() is not None:
            raise MeasurementFailed(f"the writer ended with {writer.returncode}")
        end_leftovers()  # with SIGKILL: writer and keeper
        writer.wait()
        return {"storage.recovery": seconds_of(lambda: place.tool("info")) * 1e3}


def anonymous_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"RssAnon:\s+(\d+)", file.read()).group(1))


def keeper_of(parent):
    for pid in descendants_of(parent):
        try:
            if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "casemate-keeper":
                return pid
        except OSError:
            pass
    raise MeasurementFailed("there is no casemate-keeper among the processes of the run")


def measure_memory(context, mode):
    with place_of(context, mode) as place:
        load = context.binary("storage_load")
        run_program(place, [load, "fill", place.directory, str(HELD_MIB)])
        holder = subprocess.Popen(place.command([load, "hold", place.directory, str(HELD_MIB)]),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            if holder.stdout.readline().strip() != b"0":
                raise MeasurementFailed("the load that holds the file failed")
            return {"storage.memory": anonymous_kib(keeper_of(os.getpid()))}
        finally:
            holder.stdout.close()
            end_leftovers()
            holder.wait()


def measure_aes(context, _):
    output = run_native(["openssl", "speed", "-mr", "-elapsed", "-seconds", "1", "-bytes", "4096", "-evp",
                         "aes-256-gcm"])
    found = re.search(r"^\+F:\d+:[^:]*:([0-9.]+)", output, re.MULTILINE)
    if not found:
        raise MeasurementFailed("openssl speed printed no figure")
    return {"storage.aes": float(found.group(1)) / (1 << 20)}


def single(name, title, unit, better, measure, modes=MODES, **arguments):
    metric = f"storage.{name}"
    return Load(metric, (Metric(metric, title, unit, better),), measure, modes, **arguments)


POSTGRES = ("postgres", "initdb", "pgbench", "pg_isready")
MARIADB = ("mariadbd", "mariadb-install-db", "mariadb-admin", "sysbench")

LOADS = (
    sqlite_load("commit", "SQLite single-row commits, rollback journal", "/s", "commit"),
    sqlite_load("commit_wal", "SQLite single-row commits, WAL", "/s", "commit_wal"),
    sqlite_load("insert", "SQLite bulk insert", "rows/s", "insert"),
    sqlite_load("select", "SQLite point selects, tiny cache", "/s", "select"),
    single("pgbench", "PostgreSQL pgbench TPC-B, fsync on", "/s", HIGHER, measure_postgres, prepare=prepare_postgres,
           needs=POSTGRES),
    single("mariadb", "MariaDB sysbench oltp_read_write", "/s", HIGHER, measure_mariadb, prepare=prepare_mariadb,
           needs=MARIADB),
    single("redis_aof", "Redis SET, AOF always, 8 clients", "/s", HIGHER, measure_redis,
           needs=("redis-server", "redis-benchmark")),
    single("aes", "AES-256-GCM of one core, 4 KiB pieces", "MiB/s", HIGHER, measure_aes, ("native",),
           needs=("openssl",)),
    file_load("write", "sequential write of 1 GiB, then fsync", "MiB/s", "write", 1024, 256),
    file_load("read", "sequential read of 1 GiB, cold", "MiB/s", "read", 1024, 256, (1024, 256), cold=True),
    file_load("cached", "4 KiB reads of a cached file", "/s", "cached", 2, 0.5, (256, 128)),
    file_load("sync", "random 4 KiB write + fdatasync", "/s", "sync", 2, 0.5, (256, 128)),
    file_load("files", "create and delete 5,000 small files", "files/s", "files", 5000, 1000),
    file_load("cold", "4 KiB reads at random, cold", "/s", "cold", 2, 0.5, (1024, 256), cold=True),
    sqlite_load("mapped", "SQLite point selects through mmap", "/s", "select_mapped"),
    file_load("mapped", "change 16 pages of a mapping, then msync", "/s", "mapped", 2, 0.5, (256, 128)),
    single("start", "start of python3 whose files all lie there", "ms", LOWER, measure_start, prepare=prepare_python),
    Load("storage.mount", (Metric("storage.mount_read", "mount of a clean volume with 10 GiB, `volume info`", "ms"),
                           Metric("storage.mount_write", "... read-write and clean end, nothing imported", "ms")),
         measure_mount, ("local",)),
    single("recovery", "mount after kill -9 amid synced writes", "ms", LOWER, measure_recovery, VOLUMES),
    single("memory", f"keeper's own memory with {HELD_MIB} MiB cached", "KiB", LOWER, measure_memory, ("local",)),
)
