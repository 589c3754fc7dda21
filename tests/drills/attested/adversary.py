"""What adversaries do, by their power: look for secrets wherever bytes are (files, /proc, memory), and sit between a
service and its CAS. Used by the drills beside this file and by tools/demo-attested.

Nothing here knows how Casemate works inside but docs/formats/provisioning.md and docs/las.md, as an adversary would.
"""
import base64
import ctypes
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "las"))

from bench import Evidence  # noqa: E402

NOBODY = 65534
CHUNK = 4 << 20


def become(user, group):
    """For preexec_fn: gives up root, for good, and is an ordinary login of that user afterwards."""
    def change():
        if os.getuid() == 0:
            os.setgroups([])
            os.setresgid(group, group, group)
            os.setresuid(user, user, user)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
    return change


def spellings(secret):
    """A secret as it is, and as it might have been written: hexadecimal digits, base64, UTF-16."""
    plain = secret.encode()
    return {plain, plain.hex().encode(), plain.hex().upper().encode(), base64.b64encode(plain).rstrip(b"=")[:-1],
            secret.encode("utf-16-le")}


def find_in_file(path, secrets):
    """Those of `secrets` that the file has; any spelling."""
    wanted = {spelling: secret for secret in secrets for spelling in spellings(secret)}
    longest = max(map(len, wanted))
    found, kept = set(), b""
    with open(path, "rb", 0) as file:
        while True:
            part = file.read(CHUNK)
            if not part:
                return found
            kept = kept[-longest:] + part
            found.update(secret for spelling, secret in wanted.items() if spelling in kept)


def find_in_files(places, secrets):
    """[(path, secret)] of everything below the places: contents, names, targets of links, extended attributes. Also the
    number of files that were looked at, so that a search of nothing is noticed."""
    found, count = [], 0
    for place in places:
        walk = os.walk(place) if os.path.isdir(place) else [(os.path.dirname(place), [], [os.path.basename(place)])]
        for directory, folders, names in walk:
            for name in names + folders:
                path = os.path.join(directory, name)
                texts = [name] + ([os.readlink(path)] if os.path.islink(path) else [])
                found += [(path, secret) for secret in secrets for text in texts if secret in text]
                if os.path.isfile(path) and not os.path.islink(path):
                    count += 1
                    found += [(path, secret) for secret in find_in_file(path, secrets)]
    return found, count


def find_in_proc(secrets, names=("cmdline", "environ", "comm")):
    """[(path, secret)] of all processes that this user may look at, and the number of files read."""
    found, count = [], 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in names:
            path = "/proc/%s/%s" % (pid, name)
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except OSError:
                continue
            count += 1
            found += [(path, secret) for secret in secrets if any(way in data for way in spellings(secret))]
    return found, count


def find_in_memory(pid, secret):
    """How often the memory of a process has the secret; raises PermissionError for who may not look."""
    count = 0
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            first, last, access = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if access[0] != "r" or "[v" in line:
                continue
            try:
                memory.seek(int(first, 16))
                count += memory.read(int(last, 16) - int(first, 16)).count(secret.encode())
            except (OSError, OverflowError, ValueError):
                pass
    return count


def processes_of(state):
    """Processes that have a file below `state` open: the CAS and the keepers of its services."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            links = [os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)]
        except OSError:
            continue
        if any(link.startswith(state + "/") for link in links):
            with open("/proc/%d/comm" % pid) as file:
                found[pid] = file.read().strip()
    return found


# --- between a service and its CAS

VERSION = 2  # of docs/formats/provisioning.md
CHALLENGE, REQUEST, GRANT, REFUSAL = 1, 2, 4, 5


def decode(data):
    """The few kinds of CBOR that provisioning messages are made of."""
    def item(at):
        kind, value = data[at] >> 5, data[at] & 31
        at += 1
        if value >= 24:
            size = 1 << (value - 24)
            value = int.from_bytes(data[at:at + size], "big")
            at += size
        if kind == 0:
            return value, at
        if kind == 2:
            return data[at:at + value], at + value
        assert kind == 4, "kind %d" % kind
        items = []
        for _ in range(value):
            one, at = item(at)
            items.append(one)
        return items, at
    return item(0)[0]


def encode(value):
    def head(kind, number):
        for size, mark in ((0, None), (1, 24), (2, 25), (4, 26), (8, 27)):
            if size == 0 and number < 24:
                return bytes([kind << 5 | number])
            if size and number < 1 << 8 * size:
                return bytes([kind << 5 | mark]) + number.to_bytes(size, "big")
        raise ValueError(number)
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    return head(4, len(value)) + b"".join(map(encode, value))


def read_exactly(channel, size):
    data = b""
    while len(data) < size:
        part = channel.recv(size - len(data))
        if not part:
            raise EOFError("the other end closed the connection")
        data += part
    return data


def read_frame(channel):
    return read_exactly(channel, struct.unpack("<I", read_exactly(channel, 4))[0])


def write_frame(channel, message):
    channel.sendall(struct.pack("<I", len(message)) + message)


def key_and_certificate(directory):
    """Anybody's own key: the service does not know which one is the CAS's, unless --cas-key says."""
    path = os.path.join(directory, "adversary.pem")
    if not os.path.exists(path):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=cas", "-keyout", path, "-out", path + ".crt"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(path, "a") as file, open(path + ".crt") as certificate:
            file.write(certificate.read())
    return path


class Listener:
    """Takes connections on a unix socket, one at a time, until it is closed."""

    def __init__(self, directory, name):
        self.address = os.path.join(directory, name)
        self.directory = directory
        self.failure = None
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.address)
        os.chmod(self.address, 0o666)
        self.socket.listen(8)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                one, _ = self.socket.accept()
            except OSError:
                return
            try:
                with one:
                    one.settimeout(30)
                    self.serve(one)
            except (OSError, EOFError) as failure:
                self.failure = failure

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(30)
        os.unlink(self.address)

    def accept_tls(self, connection):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(key_and_certificate(self.directory))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        return context.wrap_socket(connection, server_side=True)


def connect_tls(address):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


class ManInTheMiddle(Listener):
    """Power: network. Ends TLS on both sides and passes messages on; keeps what it sees. With `own_key` it puts that key
    in the place of the service's, so that the answer is sealed to the adversary."""

    def __init__(self, directory, cas, own_key=None):
        self.cas, self.own_key = cas, own_key
        self.request = self.answer = None
        super().__init__(directory, "man.sock")

    def serve(self, connection):
        service, cas = self.accept_tls(connection), connect_tls(self.cas)
        with service, cas:
            write_frame(service, read_frame(cas))
            self.request = read_frame(service)
            fields = decode(self.request)
            if self.own_key:
                fields[3] = self.own_key
            write_frame(cas, encode(fields))
            self.answer = read_frame(cas)
            write_frame(service, self.answer)


class Listening(Listener):
    """Power: network, passive. Passes all bytes on and keeps them."""

    def __init__(self, directory, target):
        self.target, self.seen = target, b""
        super().__init__(directory, "tap.sock")

    def serve(self, connection):
        other = socket.socket(socket.AF_UNIX)
        other.connect(self.target)

        def copy(source, sink):
            try:
                while True:
                    part = source.recv(65536)
                    self.seen += part
                    if not part:
                        break
                    sink.sendall(part)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        back = threading.Thread(target=copy, args=(other, connection), daemon=True)
        back.start()
        copy(connection, other)
        back.join(30)
        other.close()


def read_all(address):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def replay(cas, request):
    """Sends a recorded request on a connection of one's own. Returns the answer's fields."""
    with connect_tls(cas) as channel:
        read_frame(channel)
        write_frame(channel, request)
        return decode(read_frame(channel))


class NaiveCas(Listener):
    """The control: a configuration service that checks the vendor's part of evidence (signature, platform, measurement)
    and not what channel and moment it belongs to. It gives the secret to who is at the other end."""

    def __init__(self, directory, secret, platform, measurement):
        self.secret, self.platform, self.measurement = secret, platform, measurement
        super().__init__(directory, "naive.sock")

    def accepts(self, data):
        evidence = Evidence(data)
        return (evidence.key_id.hex() == self.platform and evidence.measurement.hex() == self.measurement
                and evidence.signature_holds(self.directory))

    def serve(self, connection):
        with self.accept_tls(connection) as channel:
            write_frame(channel, encode([VERSION, CHALLENGE, os.urandom(32), b""]))
            fields = decode(read_frame(channel))
            granted = self.accepts(fields[2])
            write_frame(channel, encode([VERSION, GRANT, self.secret.encode(), b""] if granted else [VERSION, REFUSAL, b"0" * 16]))
