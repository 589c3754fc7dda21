"""Client of memcached's text protocol: memcached_client.py SOCKET CONNECTIONS OPERATIONS."""

import hashlib
import random
import socket
import sys
import threading


class Client:
    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.reader = self.socket.makefile("rb")

    def command(self, line: str, data: bytes | None = None) -> str:
        self.socket.sendall(line.encode() + b"\r\n" + (data + b"\r\n" if data is not None else b""))
        return self.reader.readline().decode().strip()

    def set(self, key: str, value: bytes) -> str:
        return self.command(f"set {key} 0 0 {len(value)}", value)

    def get(self, key: str, verb: str = "get") -> tuple[bytes | None, str]:
        line = self.command(f"{verb} {key}")
        if line == "END":
            return None, ""
        fields = line.split()
        value = self.reader.read(int(fields[3]))
        self.reader.readline()
        self.reader.readline()
        return value, fields[4] if len(fields) > 4 else ""


def load(path: str, number: int, operations: int, wrong: list[str]) -> None:
    client, choice, known = Client(path), random.Random(number), {}
    for _ in range(operations):
        key = f"{number}:{choice.randrange(200)}"
        if choice.random() < 0.1 or key not in known:
            known[key] = hashlib.sha256(choice.randbytes(8)).digest() * choice.randrange(1, 60)
            if client.set(key, known[key]) != "STORED":
                wrong.append(f"set {key}")
        elif client.get(key)[0] != known[key]:
            wrong.append(f"get {key}")
    while True:  # One shared key, changed by compare and swap.
        value, version = client.get("shared", "gets")
        new = str(int(value) + 1).encode()
        if client.command(f"cas shared 0 0 {len(new)} {version}", new) == "STORED":
            break
    client.command("incr total 1")


def main() -> None:
    path, connections, operations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    client = Client(path)
    client.command("flush_all")
    client.set("shared", b"0")
    client.set("total", b"0")
    wrong: list[str] = []
    threads = [threading.Thread(target=load, args=(path, number, operations, wrong)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("wrong answers:", wrong[:5], "shared", client.get("shared")[0], "total", client.get("total")[0])
    big = bytes(range(256)) * 4000
    print("big", client.set("big", big), client.get("big")[0] == big)
    print("append", client.command("append total 0 0 1", b"x"), client.get("total")[0], client.command("incr total 1"))
    print("delete", client.command("delete big"), client.get("big")[0])
    for number in range(90):
        client.set(f"evict{number}", bytes(900_000))
    print("newest kept", client.get("evict89")[0] == bytes(900_000), "unknown:", client.command("nonsense"))


main()
