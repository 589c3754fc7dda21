"""Behaviours of served.c, natively with plain clients and shielded with TLS clients: each must say and send the same."""
import os
import select
import socket
import ssl
import subprocess
import threading
import time

LIMIT = 20


class Plain:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(LIMIT)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, size):
        """Exactly `size` bytes, or fewer at the end."""
        got = b""
        while len(got) < size:
            part = self.part(size - len(got))
            if not part:
                break
            got += part
        return got

    def part(self, size):
        return self.socket.recv(size)

    def rest(self):
        got = b""
        while True:
            part = self.part(1 << 16)
            if not part:
                return got
            got += part

    def end_sending(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()


class Tls(Plain):
    """The TLS is in memory, so that both directions can end on their own."""

    def __init__(self, port, identity="client", settings=None, version=None):
        super().__init__(port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations("ca.pem")
        if identity:
            context.load_cert_chain(identity + ".crt", identity + ".key")
        context.options &= ~0x80  # SSL_OP_IGNORE_UNEXPECTED_EOF, which Python sets: a cut is no end
        if version:
            context.maximum_version = version
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="server.test")
        self.lock = threading.Lock()  # one thread may send while another one receives
        self.step(self.tls.do_handshake)

    def step(self, call):
        while True:
            try:
                with self.lock:
                    result = call()
                    self.flush()
                return result
            except ssl.SSLWantReadError:
                with self.lock:
                    self.flush()
            raw = self.socket.recv(1 << 16)
            with self.lock:
                if raw:
                    self.incoming.write(raw)
                else:
                    self.incoming.write_eof()

    def flush(self):
        data = self.outgoing.read()
        if data:
            self.socket.sendall(data)

    def send(self, data):
        for at in range(0, len(data), 1 << 14):
            with self.lock:
                self.tls.write(data[at:at + (1 << 14)])
                data_out = self.outgoing.read()
            self.socket.sendall(data_out)

    def part(self, size):
        """b"" only after the peer's close_notify; a cut is an error."""
        try:
            return self.step(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def end_sending(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        try:
            self.tls.unwrap()
        except (ssl.SSLError, OSError):
            pass
        try:
            self.flush()
        except OSError:
            pass
        self.socket.close()


def echo_one(connect, data, slice_size=1 << 30):
    client = connect()

    def sender():
        for at in range(0, len(data), slice_size):
            client.send(data[at:at + slice_size])
    thread = threading.Thread(target=sender)
    thread.start()
    got = client.receive(len(data))
    thread.join()
    assert got == data, "the echo differs: %d of %d bytes" % (len(got), len(data))
    client.end_sending()
    assert client.rest() == b""
    client.close()


PATTERN = bytes((i * 31 + i // 253) & 255 for i in range(400_000))


def three_echoes(connect):
    for size, part in ((1, 1), (5000, 700), (len(PATTERN), 1 << 30)):
        echo_one(connect, PATTERN[:size], part)


def one_echo(connect):
    echo_one(connect, PATTERN[:100_000], 9999)


def parallel_echoes(connect):
    failures = []

    def run(size):
        try:
            echo_one(connect, PATTERN[:size], 12_345)
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=run, args=(size,)) for size in (20_000, 100_000, 300_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def shared_epoll(connect):
    client = connect()
    for _ in range(20):
        client.send(b"0123456789" * 3)
    client.end_sending()
    assert client.rest() == b"done"
    client.close()


def both_sides(connect):
    client = connect()
    expected = b"".join(b"parent %d\nchild %d\n" % (i, i) for i in range(50)) + b"all\n"
    got = client.rest()
    assert sorted(got.splitlines()) == sorted(expected.splitlines()), got
    client.close()


def duplicated(connect):
    client = connect()
    client.send(b"abc")
    assert client.rest() == b"abc!"
    client.close()


def executed(connect):
    client = connect()
    client.send(b"hello\n")
    assert client.rest() == b"shell got hello\n"
    client.close()


def half_closed(connect):
    client = connect()
    client.send(b"half" * 1000)
    client.end_sending()
    assert client.rest() == b"half" * 1000
    client.close()


def broken_pipe(connect):
    client = connect()
    client.send(b"x")
    assert client.rest() == b""
    client.close()


def peeks(connect):
    client = connect()
    client.send(b"fir")
    time.sleep(0.1)
    client.send(b"st!")
    time.sleep(0.1)
    client.send(b"looked at.")
    assert client.receive(4) == b"more"
    client.send(b"drop")
    time.sleep(0.1)
    client.send(b"all")
    time.sleep(0.1)
    client.send(b"six")
    assert client.rest() == b""
    client.close()


def messages(connect):
    client = connect()
    client.send(b"message one")
    time.sleep(0.3)
    client.send(b"message two")
    expected = b"one two three\n" * 2 + b"one two three\n"
    assert client.receive(len(expected)) == expected
    client.send(b"four")
    time.sleep(0.2)
    client.send(b"to many")
    assert client.rest() == b""
    client.close()


def limits(connect):
    client = connect()
    client.send(b"x")
    assert client.receive(2) == b"go"
    client.send(b"1234")
    time.sleep(0.2)
    client.send(b"56789abc")
    assert client.rest() == b""
    client.close()


def interrupted_read(connect):
    client = connect()
    client.send(b"x")
    assert client.receive(4) == b"wake"
    client.close()


def restarted_read(connect):
    client = connect()
    client.send(b"x")
    assert client.receive(4) == b"wake"
    client.send(b"data")
    assert client.rest() == b""
    client.close()


def sends_file(connect):
    client = connect()
    file = bytes((i * 7 + i // 251) & 255 for i in range(300_000))
    assert client.rest() == file[100_000:] + file[:100_000]
    client.close()


def full(connect):
    client = connect()
    client.send(b"x")
    time.sleep(1)
    assert client.rest() == b"f" * (8 << 20)
    client.close()


def blocking_full(connect):
    client = connect()
    time.sleep(0.5)
    assert client.rest() == b"b" * (8 << 20)
    client.close()


def registers(connect):
    client = connect()
    for turn in range(20):
        size = 100 if turn < 10 else 2000
        client.send(b"r" * size)
        assert client.receive(size) == b"r" * size
    assert client.rest() == b""
    client.close()


CLIENTS = {
    "echo": three_echoes, "echo_poll": one_echo, "echo_select": one_echo, "echo_level": parallel_echoes,
    "echo_edge": parallel_echoes, "echo_oneshot": parallel_echoes, "echo_edge_oneshot": parallel_echoes,
    "shared_epoll": shared_epoll, "forking": three_echoes, "preforked": three_echoes, "both_sides": both_sides,
    "duplicated": duplicated, "executed": executed, "half_closed": half_closed, "broken_pipe": broken_pipe,
    "peeks": peeks, "messages": messages, "limits": limits, "interrupted_read": interrupted_read,
    "restarted_read": restarted_read, "sends_file": sends_file, "full": full, "blocking_full": blocking_full,
    "threads": parallel_echoes, "registers": registers,
}


def run_once(command, port, behaviour, client_class):
    """What the server said."""
    server = subprocess.Popen([*command, str(port), behaviour], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
    try:
        first = server.stdout.readline().strip()
        if first != "ready":
            raise AssertionError("%s: %s" % (behaviour, first + server.communicate(timeout=LIMIT)[1]))
        try:
            CLIENTS[behaviour](lambda: client_class(port))
        except Exception as error:
            server.kill()
            raise AssertionError("%s, %s: %s; server: %s" % (behaviour, client_class.__name__, error, server.communicate()))
        said, errors = server.communicate(timeout=LIMIT)
    finally:
        server.kill()
        server.wait()
    assert server.returncode == 0, "%s: exit code %d: %s%s" % (behaviour, server.returncode, said, errors)
    assert "FAILED" not in said, "%s: %s" % (behaviour, said)
    return said


def compare(casemate, served, port, behaviour):
    native = run_once([served], port, behaviour, Plain)
    with open("served.yml", "w") as file:
        file.write("servers:\n  - {name: served, port: \"TCP:%d\", identity: \"file:server.pem\", "
                   "client_auth: \"file:ca.pem\"}\n" % port)
    shielded = run_once([casemate, "run", "--net", "served.yml", "--", served], port, behaviour, Tls)
    assert shielded == native, "%s: natively\n%sshielded\n%s" % (behaviour, native, shielded)
