"""The stress of socket semantics (stress/main.c): who talks to whom, and controls that show that it notices."""
import os
import signal
import socket
import subprocess
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = int(os.environ.get("CASEMATE_STRESS_SECONDS", "10"))
SEED = os.environ.get("CASEMATE_STRESS_SEED") or str(int.from_bytes(os.urandom(6), "big"))


def build():
    """The program, built once per run in the working directory."""
    if not os.path.exists("socket_stress"):
        sources = [os.path.join(HERE, "stress", name) for name in sorted(os.listdir(os.path.join(HERE, "stress")))
                   if name.endswith(".c")]
        subprocess.run(["cc", "-O2", "-g", "-pthread", "-o", "socket_stress", *sources, "-lssl", "-lcrypto"], check=True)
    return os.path.abspath("socket_stress")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """The stress's server, under `prefix`; stop() returns its exit code and what it said."""

    def __init__(self, *words, prefix=(), port=None):
        self.port = port or free_port()
        self.process = subprocess.Popen([*prefix, build(), "server", str(self.port), "--seed", SEED, *words],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        start_new_session=True)
        self.said = ""
        for line in self.process.stdout:
            if line == "ready\n":
                return
            self.said += line
        raise AssertionError("the server does not start: " + self.said)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.said += self.process.communicate(timeout=120)[0]
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.said += self.process.communicate()[0] + "(killed: it did not end)"
        return self.process.returncode, self.said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()


def client(port, *words, seconds=SECONDS, prefix=()):
    done = subprocess.run([*prefix, build(), "client", "127.0.0.1", str(port), "--seconds", str(seconds), "--seed", SEED,
                           *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds + 300)
    return done.returncode, done.stdout


def expect_agreement(server, done):
    stopped = server.stop()
    said = "seed %s: client: %s\nserver: %s" % (SEED, done, stopped)
    assert done[0] == 0 and stopped[0] == 0, said
    assert "as the model says" in done[1] and "as the model says" in stopped[1], said
    count = int(done[1].split("client: ")[1].split()[0])
    assert count >= 8, "only %d connections: %s" % (count, said)


class Relay:
    """Stands between client and server, and treats what the server says, from byte `after` of a connection on, as
    `change` does: bytes in, bytes out, None for never again."""

    def __init__(self, port, after, change):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.server_port, self.after, self.change = port, after, change
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                inner, _ = self.listener.accept()
            except OSError:
                return
            outer = socket.create_connection(("127.0.0.1", self.server_port))
            threading.Thread(target=self.carry, args=(inner, outer, False), daemon=True).start()
            threading.Thread(target=self.carry, args=(outer, inner, True), daemon=True).start()

    def carry(self, source, sink, is_changed):
        count = 0
        try:
            while data := source.recv(65536):
                if is_changed and count <= self.after < count + len(data):
                    data = self.change(data)
                    if data is None:
                        threading.Event().wait()
                count += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def case_stress_of_plain_sockets_agrees_with_the_model():
    """The control of the shielded ones: what the program expects is what the kernel does."""
    with Server() as server:
        expect_agreement(server, client(server.port, seconds=min(SECONDS, 5)))


def case_stress_notices_changed_lost_and_doubled_bytes():
    for change in (lambda data: bytes([data[0] ^ 1]) + data[1:], lambda data: data[1:], lambda data: data[:1] + data):
        with Server() as server:
            relay = Relay(server.port, 5000, change)
            code, said = client(relay.port, seconds=5)
            assert code == 1 and "DIVERGENCE" in said, said
            relay.listener.close()


def case_stress_notices_a_hang_and_says_who_waits():
    with Server() as server:
        relay = Relay(server.port, 5000, lambda data: None)
        code, said = client(relay.port, "--stall", "3", seconds=20)
        assert code == 3 and "HANG" in said and "received" in said, said
        relay.listener.close()


def shielded(rules):
    return (os.environ.get("CASEMATE", os.path.join(HERE, "../../build/bin/casemate")), "run", "--net", rules, "--")


def rules_for(port, name):
    with open(name, "w") as file:
        file.write("servers:\n  - {name: stress, port: \"TCP:%d\", identity: \"file:server.pem\", client_auth: \"file:ca.pem\"}"
                   "\nclients:\n  - {name: stress, destination: \"TCP:127.0.0.1:%d\", identity: \"file:client.pem\", "
                   "server_auth: \"file:ca.pem\", peer_names: [\"dns:server.test\"]}\n" % (port, port))
    return name


def case_stress_of_a_shielded_server_agrees_with_the_model():
    port = free_port()
    prefix = shielded(rules_for(port, "stress.yml"))
    with Server("--shielded", prefix=prefix, port=port) as server:
        expect_agreement(server, client(port, "--tls", "client.crt", "client.key", "ca.pem"))


def case_stress_of_shielded_server_and_client_agrees_with_the_model():
    port = free_port()
    prefix = shielded(rules_for(port, "stress-both.yml"))
    with Server("--shielded", prefix=prefix, port=port) as server:
        expect_agreement(server, client(port, "--shielded", prefix=prefix))
