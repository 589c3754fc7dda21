"""The network shield of services: rules and identities come from the CAS, the program speaks plain TCP."""
import os
import re
import socket
import subprocess
import threading

PROGRAM = """import errno, socket, sys
what, port, words = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
if what == "serve":
    listener = socket.create_server(("127.0.0.1", port))
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                line = connection.makefile("rb").readline()
                print("got", ascii(line.decode("latin-1")), flush=True)
                connection.sendall(b"answer to " + line)
            except OSError as error:
                print("broken", errno.errorcode[error.errno], flush=True)
try:
    if what == "datagram":
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))
        print("sent")
        sys.exit()
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(words[0].encode() + b"\\n")
    print(client.makefile("rb").readline().decode().strip() or "nothing")
except OSError as error:
    print("failed", errno.errorcode[error.errno])
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def network(servers="", clients=""):
    return "    network:\n      mode: protected\n" + (
        "      servers: [%s]\n" % servers if servers else "") + ("      clients: [%s]\n" % clients if clients else "")


class Application:
    """A session of two services, `main` (the server) and `front`; `rules`: their networks."""

    def __init__(self, place, name, port, main="", front=""):
        self.place, self.name, self.port = place, name, port
        self.policy = place.path(name + ".yml")
        if not os.path.exists(place.path("net.py")):
            place.write("net.py", PROGRAM)
        code, _, error = place.call("session", "init", "--state", place.state, "-o", self.policy, "--", "/usr/bin/python3",
                                    "-E", "-S", place.path("net.py"), "serve", str(port))
        assert code == 0, error
        with open(self.policy) as file:
            text = file.read()
        text = text.replace('name: "python3"', "name: " + name, 1).replace("    volumes: [{name: data, path: /data}]\n", "")
        text = text.replace("volumes: [{name: data, freshness: strict}]\n", "")
        service = text[text.index("  - name: main\n"):text.index("images:\n")]
        words = '      - "serve"\n      - "%d"\n' % port
        assert words in service, service
        asked = service.replace("  - name: main", "  - name: front", 1).replace(words, '      - "@@0"\n      - "@@1"\n      - "@@2"\n')
        both = service + main + asked + front
        with open(self.policy, "w") as file:
            file.write(text.replace(service, both))

    def __enter__(self):
        words = [self.place.casemate, "run", "--state", self.place.state, "--policy", self.policy, "--service", "main"]
        self.server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=self.place.directory,
                                       stderr=open(self.place.path(self.name + ".log"), "w"),
                                       env={"PATH": "/usr/bin:/bin", "HOME": self.place.directory})
        line = self.server.stdout.readline()
        assert line == "ready\n", "%r; %s" % (line, self.log())
        return self

    def __exit__(self, *_):
        self.server.kill()
        self.server.communicate()

    def log(self):
        with open(self.place.path(self.name + ".log")) as file:
            return file.read()

    def said(self):
        """What the server got next. Connections that failed, it saw broken."""
        lines = []

        def next_line():
            for line in iter(self.server.stdout.readline, ""):
                if line.startswith("got"):
                    lines.append(line)
                    return
        reader = threading.Thread(target=next_line, daemon=True)
        reader.start()
        reader.join(60)
        return lines[0].strip() if lines else "(nothing)"

    def front(self, what, port, text=""):
        code, output, error = self.place.call("run", "--quiet", "--state", self.place.state, "--policy", self.policy, "--service",
                                              "front", "--", what, str(port), text)
        assert code == 0, (code, output, error)
        return output.strip()


SERVER = "{name: web, port: \"TCP:%d\"%s}"
CLIENT = "{name: web, destination: \"TCP:main:%d\", destination_ip: \"127.0.0.1\"}"


def plain(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"plain\n")
        try:
            return client.recv(100)
        except ConnectionError:
            return b""


def s_client(port):
    done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-showcerts"], input="hello\n", text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return done.stdout


def case_services_of_one_session_authenticate_each_other(place):
    port = free_port()
    rules = network(SERVER % (port, "")), network("", CLIENT % port)
    with Application(place, "shop", port, *rules) as shop:
        assert shop.front("ask", port, "hello") == "answer to hello", shop.log()
        assert shop.said() == "got 'hello\\n'"
        seen = s_client(port)
        certificate = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=seen, text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
        assert "URI:casemate://shop/main" in certificate and "DNS:main" in certificate, certificate
        assert "answer to" not in seen and b"answer" not in plain(port), "strangers were served"
        # The same program in the same place, of another session: it believes no such server, and none believes it.
        for name, client in (("spy", CLIENT), ("trusting-spy", CLIENT.replace("}", ", server_auth: disabled}"))):
            said = Application(place, name, port, "", network("", client % port)).front("ask", port, "let me in")
            assert said in ("failed ECONNREFUSED", "failed ECONNRESET", "nothing", "failed EPIPE"), said
        assert shop.front("ask", port, "still there") == "answer to still there"
        assert shop.said() == "got 'still there\\n'", "the program saw what strangers said"
        assert re.search("rule `web`: connection from .* given up: .*certificate", shop.log()), shop.log()


def case_plain_services_serve_everybody(place):
    """The control."""
    port = free_port()
    with Application(place, "shop", port) as shop:
        assert shop.front("ask", port, "hello") == "answer to hello"
        assert plain(port) == b"answer to plain\n"
        spy = Application(place, "spy", port)
        assert spy.front("ask", port, "let me in") == "answer to let me in"


def case_servers_serve_only_the_services_that_they_name(place):
    port = free_port()
    with Application(place, "shop", port, network(SERVER % (port, ", peer_names: [\"uri:casemate://shop/other\"]")),
                     network("", CLIENT % port)) as shop:
        assert "answer" not in shop.front("ask", port, "hello")
        assert "casemate://shop/front" in shop.log(), shop.log()


def case_what_no_rule_names_is_denied(place):
    port, other = free_port(), free_port()
    shop = Application(place, "shop", port, "", network("", CLIENT % port))
    with socket.create_server(("127.0.0.1", other)):
        assert shop.front("ask", other, "hello") == "failed EACCES"
    assert shop.front("datagram", other) == "failed EACCES"
    assert Application(place, "spy", port).front("datagram", other) == "sent", "the control"


def case_protected_unix_sockets_are_refused(place):
    shop = Application(place, "shop", free_port(), "", network("{name: web, port: \"unix:/run/web\"}"))
    code, _, error = place.call("run", "--state", place.state, "--policy", shop.policy, "--service", "front", "--", "ask", "1", "x")
    assert code == 125 and "unix sockets" in error, (code, error)
