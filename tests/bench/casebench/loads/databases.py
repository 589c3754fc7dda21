"""PostgreSQL under pgbench and MariaDB under sysbench. Data is made once, natively; each mode works on its own copy.

The servers keep their default durability (fsync, flush at every commit): that is what users run.
"""

import os
import re
import signal

from ..launch import Server, command_succeeds, free_port
from ..model import HIGHER, Load, MeasurementFailed, Metric, find_program, run_native
from ..modes import Mode

NATIVE = Mode("native", "native", [])
CLIENTS = "4"


def give_to(directory, user):
    """Makes a data directory belong to the server's user."""
    if os.geteuid() == 0:
        run_native(["chown", "-R", f"{user}:", directory])


def own_copy(context, mode, name):
    """The mode's copy of the prepared data directory `name`."""
    copy = context.path(f"{name}-{mode.name}")
    if not os.path.isdir(copy):
        run_native(["cp", "-a", context.path(name), copy])
        os.sync()
    return copy


def postgres(context, mode, data, port):
    # Unix sockets off: clients of all modes use loopback.
    argv = [find_program("postgres"), "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
            "-c", "unix_socket_directories=", "-c", "shared_buffers=64MB", "-c", "autovacuum=off",
            "-c", "max_connections=32"]
    if mode.peer:  # a gVisor sandbox has no /dev/shm that the server's user may write to
        argv += ["-c", "dynamic_shared_memory_type=mmap"]
    ready = command_succeeds([find_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres",
                              "-d", "postgres"])
    return Server(mode, argv, context.path(f"postgres-{mode.name}.log"), ready, user="postgres", stop=signal.SIGINT,
                  cwd="/")


def pgbench(port, *arguments, timeout=180):
    return run_native([find_program("pgbench"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", *arguments,
                       "postgres"], timeout=timeout, cwd="/")


def prepare_postgres(context):
    data = context.path("postgres")
    os.mkdir(data, 0o700)
    give_to(data, "postgres")
    run_native(NATIVE.command([find_program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-N",
                               "--no-locale", "-E", "UTF8"], "postgres"), cwd="/")
    port = free_port()
    with postgres(context, NATIVE, data, port):
        pgbench(port, "-i", "-q", "-s", "2" if context.quick else "5")


def transactions_per_second(output):
    found = re.search(r"tps = ([0-9.]+)", output)
    if not found:
        raise MeasurementFailed("pgbench printed no figure")
    return float(found.group(1))


def measure_postgres(context, mode):
    data = own_copy(context, mode, "postgres")
    port = free_port()
    results = {}
    with postgres(context, mode, data, port):
        for name, options in (("pgbench.select", ["-S"]), ("pgbench.tpcb", [])):
            seconds = str(max(1, round(context.seconds(5))))
            pgbench(port, "-n", *options, "-c", CLIENTS, "-T", "1")
            results[name] = transactions_per_second(
                pgbench(port, "-n", *options, "-c", CLIENTS, "-j", "1", "-T", seconds))
    return results


def mariadb(context, mode, data, port):
    argv = [find_program("mariadbd"), "--no-defaults", f"--datadir={data}", f"--port={port}",
            "--bind-address=127.0.0.1", f"--socket={data}/server.sock", f"--pid-file={data}/server.pid",
            "--skip-name-resolve", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=64M"]
    if mode.peer:  # the server aborts on the io_uring that gVisor offers
        argv.append("--skip-innodb-use-native-aio")
    ready = command_succeeds([find_program("mariadb-admin"), "--no-defaults", "-h", "127.0.0.1", "-P", str(port),
                              "--protocol=tcp", "-u", "root", "ping"])
    return Server(mode, argv, context.path(f"mariadb-{mode.name}.log"), ready, user="mysql", cwd="/")


def sysbench(context, port, command, *arguments):
    size = "2000" if context.quick else "10000"
    return run_native(["sysbench", "oltp_read_write", "--db-driver=mysql", "--mysql-host=127.0.0.1",
                       f"--mysql-port={port}", "--mysql-user=root", "--mysql-db=sbtest", "--tables=2",
                       f"--table-size={size}", f"--threads={CLIENTS}", *arguments, command], timeout=180)


def prepare_mariadb(context):
    data = context.path("mariadb")
    os.mkdir(data, 0o700)
    give_to(data, "mysql")
    argv = [find_program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--skip-test-db",
            "--auth-root-authentication-method=normal"]
    if os.geteuid() == 0:
        argv.append("--user=mysql")
    run_native(argv, cwd="/")
    port = free_port()
    with mariadb(context, NATIVE, data, port):
        run_native([find_program("mariadb"), "--no-defaults", "-h", "127.0.0.1", "-P", str(port), "--protocol=tcp",
                    "-u", "root", "-e", "CREATE DATABASE sbtest"])
        sysbench(context, port, "prepare")


def sysbench_transactions(output):
    found = re.search(r"transactions:\s+\d+\s+\(([0-9.]+) per sec", output)
    if not found:
        raise MeasurementFailed("sysbench printed no figure")
    return float(found.group(1))


def measure_mariadb(context, mode):
    data = own_copy(context, mode, "mariadb")
    port = free_port()
    with mariadb(context, mode, data, port):
        seconds = max(2, round(context.seconds(6)))
        sysbench(context, port, "run", "--time=1")
        output = sysbench(context, port, "run", f"--time={seconds}")
    return {"mariadb.read_write": sysbench_transactions(output)}


LOADS = (
    Load("pgbench", (Metric("pgbench.select", "PostgreSQL pgbench -S, 4 clients", "/s", HIGHER),
                     Metric("pgbench.tpcb", "PostgreSQL pgbench TPC-B, 4 clients", "/s", HIGHER)),
         measure_postgres, prepare=prepare_postgres, needs=("postgres", "initdb", "pgbench", "pg_isready"),
         peer_rounds=2),
    Load("mariadb", (Metric("mariadb.read_write", "MariaDB sysbench oltp_read_write", "/s", HIGHER),), measure_mariadb,
         prepare=prepare_mariadb, needs=("mariadbd", "mariadb-install-db", "mariadb-admin", "sysbench"), peer_rounds=2),
)
