"""Redis, memcached and nginx on loopback. The server runs in the measured mode, the client always natively."""

import csv
import io
import os
import re
import shutil

from ..launch import Server, free_port, number_of, port_answers
from ..model import HIGHER, Load, MeasurementFailed, Metric, find_program, make_directory, run_native


def redis_requests(context, mode, pipeline):
    requests = 150000 if pipeline == 1 else 900000
    if context.quick:
        requests //= 4
    return requests // 20 if mode.slow else requests


def measure_redis(context, mode):
    port = free_port()
    argv = [find_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", context.directory, "--daemonize", "no", "--loglevel", "warning"]
    results = {}
    with Server(mode, argv, context.path(f"redis-{mode.name}.log"), port_answers(port)):
        for pipeline in (1, 16):
            output = run_native(["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", "50", "-P", str(pipeline),
                                 "-n", str(redis_requests(context, mode, pipeline)), "-t", "set,get", "-r", "10000",
                                 "--csv"], timeout=180)
            for row in csv.reader(io.StringIO(output)):
                if row and row[0] in ("SET", "GET"):
                    results[f"redis.{row[0].lower()}_p{pipeline}"] = float(row[1])
    return results


def measure_memcached(context, mode):
    port = free_port()
    argv = [find_program("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", "2", "-m", "64"]
    if os.geteuid() == 0:
        argv += ["-u", "nobody"]
    with Server(mode, argv, context.path(f"memcached-{mode.name}.log"), port_answers(port)):
        client = [context.binary("memcached_load"), str(port), "16", str(context.seconds(3))]
        return {"memcached.mixed": number_of(run_native(client))}


NGINX_CONFIGURATION = """
{user}
worker_processes 2;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 10000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{ listen 127.0.0.1:{port}; root {directory}/html; }}
}}
"""


def nginx_directory(port):
    directory = make_directory("casemate-bench-nginx-")
    os.mkdir(os.path.join(directory, "html"))
    for name, size in (("5k.bin", 5 << 10), ("1m.bin", 1 << 20)):
        with open(os.path.join(directory, "html", name), "wb") as file:
            file.write(os.urandom(size))
    user = "user nobody nogroup;" if os.geteuid() == 0 else ""
    with open(os.path.join(directory, "nginx.conf"), "w", encoding="ascii") as file:
        file.write(NGINX_CONFIGURATION.format(user=user, directory=directory, port=port))
    return directory


def requests_per_second(output):
    found = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", output)
    if not found or failed:
        raise MeasurementFailed("wrk: " + (failed.group(0) if failed else "no figure"))
    return float(found.group(1))


def measure_nginx(context, mode):
    port = free_port()
    directory = nginx_directory(port)
    argv = [find_program("nginx"), "-p", directory, "-c", os.path.join(directory, "nginx.conf"),
            "-e", os.path.join(directory, "error.log")]
    results = {}
    try:
        with Server(mode, argv, os.path.join(context.directory, f"nginx-{mode.name}.log"), port_answers(port)):
            for name, file in (("nginx.small", "5k.bin"), ("nginx.large", "1m.bin")):
                seconds = max(1, round(context.seconds(4)))
                output = run_native(["wrk", "-t", "1", "-c", "32", "-d", f"{seconds}s", "--timeout", "10s",
                                     f"http://127.0.0.1:{port}/{file}"])
                results[name] = requests_per_second(output)
        return results
    finally:
        shutil.rmtree(directory, ignore_errors=True)


LOADS = (
    Load("redis", tuple(Metric(f"redis.{call}_p{pipeline}", f"Redis {call.upper()}, 50 clients, pipeline {pipeline}",
                               "/s", HIGHER) for pipeline in (1, 16) for call in ("set", "get")),
         measure_redis, needs=("redis-server", "redis-benchmark")),
    Load("memcached", (Metric("memcached.mixed", "memcached, 16 clients, 90 % get", "/s", HIGHER),), measure_memcached,
         needs=("memcached",)),
    Load("nginx", (Metric("nginx.small", "nginx 5 KiB file, 2 workers", "/s", HIGHER),
                   Metric("nginx.large", "nginx 1 MiB file, sendfile", "/s", HIGHER)), measure_nginx,
         needs=("nginx", "wrk")),
)
