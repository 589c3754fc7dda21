"""Files, memory, signals, sockets and native code from one Python process."""

import array
import ctypes
import ctypes.util
import fcntl
import hashlib
import json
import mmap
import os
import pathlib
import resource
import select
import signal
import socket
import sys
import tempfile
import time
import zlib


def files() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "data")
        path.write_bytes(bytes(range(256)) * 4096)
        print("file", path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()[:16])
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
            view[0:5] = b"hello"
            view.flush()
            print("mmap", view.find(b"\xff\x00"), path.read_bytes()[:5])
        with open(path, "rb") as file:
            print("preadv", [os.pread(file.fileno(), 3, offset) for offset in (0, 300, 2**20 - 1)])
        os.truncate(path, 100)
        os.link(path, path.with_name("link"))
        print("names", sorted(os.listdir(folder)), path.stat().st_nlink)
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("walk", sum(len(names) for _, _, names in os.walk("/usr/lib/python3/dist-packages")) > 10)


def signals() -> None:
    seen = []
    signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    while len(seen) < 20:
        time.sleep(0.1)  # Interrupted and resumed (PEP 475).
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("timer signals arrived")
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    os.kill(os.getpid(), signal.SIGUSR1)
    print("pending", signal.SIGUSR1 in signal.sigpending())
    print("sigwait", signal.sigwait({signal.SIGUSR1}).name)


def sockets() -> None:
    left, right = socket.socketpair()
    poll = select.epoll()
    poll.register(right, select.EPOLLIN | select.EPOLLET)
    print("epoll idle", poll.poll(0))
    left.send(b"ping")
    print("epoll ready", [event for _, event in poll.poll(1)], right.recv(10))
    reading, writing = os.pipe()
    socket.send_fds(left, [b"descriptor"], [writing])
    message, descriptors, _, _ = socket.recv_fds(right, 100, 4)
    os.write(descriptors[0], b"through a passed descriptor")
    print(message, os.read(reading, 100))
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        received = 0
        while block := peer.recv(65536):
            received += len(block)
        print("tcp", received)
    for end in (left, right, client, peer):
        end.close()


def native_code() -> None:
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    compare_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    values = (ctypes.c_int * 8)(5, 3, 8, 1, 9, 2, 7, 4)
    libc.qsort(values, 8, 4, compare_type(lambda a, b: a[0] - b[0]))
    print("callback", list(values))
    print("errno", libc.open(b"/no/such", 0), os.strerror(ctypes.get_errno()))
    print("syscall", libc.syscall(39) == os.getpid())
    print("float", array.array("d", [x / 7 for x in range(3)]).tolist())


def limits_and_identity() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    opened = []
    try:
        while True:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        print("descriptors end with", error.strerror, opened[-1])
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print("own program", os.readlink("/proc/self/exe") == os.path.realpath(sys.executable))
    print("descriptors", sorted(int(name) for name in os.listdir("/proc/self/fd"))[:3])
    print("command line", pathlib.Path("/proc/self/cmdline").read_bytes().split(b"\0")[0])
    print("name", pathlib.Path("/proc/self/comm").read_text().strip())
    print("umask", oct(os.umask(0o22)))


def main() -> None:
    files()
    signals()
    sockets()
    native_code()
    limits_and_identity()
    print("zlib", len(zlib.compress(b"casemate" * 10000)), json.dumps({"b": [1, 2.5, None]}))
    print("recursion", sum(1 for _ in range(10**6)))
    try:
        {}["missing"]
    except KeyError as error:
        print("caught", repr(error))


main()
