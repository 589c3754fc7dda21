"""Servers as Debian ships them, which think that they speak plain TCP, under `casemate run --net`: outside is TLS 1.3 with
certificates on both sides. Their clients speak TLS themselves where they can from the first byte on (curl, redis-cli), and
are shielded, too, where their protocol would begin in the clear (PostgreSQL, MariaDB, memcached)."""
import hashlib
import json
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CASEMATE = os.environ.get("CASEMATE", os.path.join(HERE, "../../build/bin/casemate"))
LIMIT = 90
TLS_WORDS = ("--tls", "--cert", "client.crt", "--key", "client.key", "--cacert", "ca.pem")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def text_of(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, timeout=240, **more)
    assert done.returncode == 0, "%s: exit code %d: %s" % (" ".join(command), done.returncode, done.stdout[-2000:])
    return done.stdout


def as_user(name):
    """How to run a command as another user, where we are root."""
    return ["setpriv", "--reuid=" + name, "--regid=" + str(pwd.getpwnam(name).pw_gid), "--init-groups"] if os.geteuid() == 0 else []


class Served:
    """A server of `user` in a directory of its own, shielded at its port. Ready when a client with a certificate gets a
    handshake."""

    def __init__(self, command, user=None, prepare=None, identity="server.pem", clients="\"file:ca.pem\""):
        self.port = free_port()
        self.place = tempfile.mkdtemp(prefix="casemate-netshield-app-")
        with open(os.path.join(self.place, "net.yml"), "w") as file:
            file.write("servers:\n  - {name: app, port: \"TCP:%d\", identity: \"file:%s\", client_auth: %s}\n"
                       "clients:\n  - {name: app, destination: \"TCP:127.0.0.1:%d\", identity: \"file:client.pem\", server_auth: "
                       "\"file:ca.pem\", peer_names: [\"dns:server.test\"]}\n" % (self.port, identity, clients, self.port))
        for name in (identity, "client.pem", "ca.pem"):
            shutil.copy(name, self.place)
        self.own = as_user(user) if user else []
        if self.own:
            for folder, _, names in os.walk(self.place):
                for path in [folder, *(os.path.join(folder, name) for name in names)]:
                    os.chown(path, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        self.prefix = [*self.own, CASEMATE, "run", "--quiet", "--net", os.path.join(self.place, "net.yml"), "--"]
        try:
            if prepare:
                prepare(self)
            self.log = open(os.path.join(self.place, "log"), "w")
            self.process = subprocess.Popen([*self.prefix, *command(self)], stdin=subprocess.DEVNULL, stdout=self.log,
                                            stderr=subprocess.STDOUT, cwd=self.place, start_new_session=True)
        except BaseException:
            shutil.rmtree(self.place, ignore_errors=True)
            raise
        self.wait()

    def path(self, name):
        return os.path.join(self.place, name)

    def wait(self):
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                self.connect().close()
                return
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise AssertionError("the server does not get ready: %s; %s" % (error, self.said))
                time.sleep(0.05)

    def connect(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations("ca.pem")
        context.load_cert_chain("client.crt", "client.key")
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT)
        return context.wrap_socket(plain, server_hostname="server.test")

    def client(self, *words, **more):
        """A client under the same shield."""
        return text_of([*self.prefix, *words], cwd=self.place, **more)

    def refuses_plain(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            try:
                answer = plain.recv(4096)
            except ConnectionError:
                answer = b""
        assert not answer or answer[0] == 21, "plain text was answered: %r" % answer  # 21: a TLS alert

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()
        with open(self.path("log"), errors="replace") as file:
            self.said = file.read()[-2000:]
        shutil.rmtree(self.place, ignore_errors=True)


NGINX = """%s
worker_processes 2; daemon off; pid PLACE/nginx.pid; error_log PLACE/error.log;
events { worker_connections 512; }
http {
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path PLACE/body; proxy_temp_path PLACE/proxy; fastcgi_temp_path PLACE/fastcgi;
  uwsgi_temp_path PLACE/uwsgi; scgi_temp_path PLACE/scgi;
  server { listen 127.0.0.1:PORT; root PLACE/html; }
}
"""


def prepare_nginx(served):
    os.mkdir(served.path("html"))
    for name, size in (("small", 5 << 10), ("large", 1 << 20), ("empty", 0)):
        with open(served.path("html/" + name), "wb") as file:
            file.write(os.urandom(size))
    os.chmod(served.place, 0o755)
    text = NGINX % ("user nobody nogroup;" if os.geteuid() == 0 else "")
    with open(served.path("nginx.conf"), "w") as file:
        file.write(text.replace("PLACE", served.place).replace("PORT", str(served.port)))


def nginx_command(served):
    return ["/usr/sbin/nginx", "-p", served.place, "-c", served.path("nginx.conf"), "-e", served.path("error.log")]


def case_nginx_serves_curl():
    with Served(nginx_command, prepare=prepare_nginx) as served:
        curl = ["curl", "-sS", "--fail", "--cacert", "ca.pem", "--cert", "client.crt", "--key", "client.key", "--resolve",
                "server.test:%d:127.0.0.1" % served.port]
        for name in ("small", "large", "empty", "large"):
            with open(served.path("html/" + name), "rb") as file:
                expected = hashlib.sha256(file.read()).hexdigest()
            got = subprocess.run([*curl, "https://server.test:%d/%s" % (served.port, name)], check=True, timeout=60,
                                 stdout=subprocess.PIPE).stdout
            assert hashlib.sha256(got).hexdigest() == expected, name
        # One connection, many requests; many connections at once.
        urls = ["https://server.test:%d/small" % served.port] * 50
        assert len(subprocess.run([*curl, *urls], check=True, timeout=60, stdout=subprocess.PIPE).stdout) == 50 * (5 << 10)
        served.refuses_plain()
        clients = [subprocess.Popen([*curl, "https://server.test:%d/large" % served.port], stdout=subprocess.PIPE) for _ in range(20)]
        assert all(len(client.communicate(timeout=120)[0]) == 1 << 20 for client in clients)


# What testssl.sh says of the test's certificate and of nginx's pages, which are not the shield's.
NOT_THE_SHIELDS = {"cert_revocation", "HSTS", "security_headers", "engine_problem"}


def testssl_finds_nothing_above_low():
    with Served(nginx_command, prepare=prepare_nginx, identity="lasting.pem", clients="disabled") as served:
        done = subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--nodns", "min",
                               "--add-ca", "ca.pem", "--severity", "LOW", "--jsonfile", served.path("findings.json"),
                               "server.test:%d" % served.port], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
        with open(served.path("findings.json")) as file:
            findings = json.load(file)
        assert "TLS 1.3" in done.stdout and "Rating" in done.stdout, done.stdout[-3000:]
        bad = ["%(severity)s %(id)s: %(finding)s" % one for one in findings
               if one["severity"] not in ("LOW", "INFO", "OK") and one["id"] not in NOT_THE_SHIELDS]
        assert not bad, "; ".join(bad)


if os.environ.get("CASEMATE_TESTSSL"):
    case_testssl_finds_nothing_above_low = testssl_finds_nothing_above_low


def case_redis_serves_its_own_client_and_benchmark():
    command = lambda served: ["/usr/bin/redis-server", "--port", str(served.port), "--bind", "127.0.0.1", "--save", "",  # noqa: E731
                              "--dir", served.place]
    with Served(command) as served:
        cli = ["redis-cli", "-p", str(served.port), *TLS_WORDS, "--sni", "server.test"]
        assert text_of([*cli, "SET", "name", "value"]) == "OK\n"
        assert text_of([*cli, "GET", "name"]) == "value\n"
        said = text_of(["redis-benchmark", "-p", str(served.port), *TLS_WORDS, "--sni", "server.test", "-n", "20000", "-c", "20",
                        "-P", "4", "-t", "set,get,lrange_100", "-q"])
        assert said.count("requests per second") >= 3, said
        text_of([*cli, "BGSAVE"])
        assert "name" in text_of([*cli, "KEYS", "na*"])
        served.refuses_plain()


MEMCACHED = """import socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
reader = client.makefile("rb")
for number in range(300):
    value = (b"%d " % number) * (number * 20 % 9000)
    client.sendall(b"set k%d 0 0 %d\\r\\n" % (number, len(value)) + value + b"\\r\\n")
    assert reader.readline() == b"STORED\\r\\n"
    client.sendall(b"get k%d\\r\\n" % number)
    size = int(reader.readline().split()[3])
    assert size == len(value) and reader.read(size + 2) == value + b"\\r\\n" and reader.readline() == b"END\\r\\n"
print("done")
"""


def case_memcached_serves_a_shielded_client():
    command = lambda served: ["/usr/bin/memcached", "-l", "127.0.0.1", "-p", str(served.port), "-U", "0", "-t", "2",  # noqa: E731
                              *(["-u", "nobody"] if os.geteuid() == 0 else [])]
    with Served(command) as served:
        with open(served.path("client.py"), "w") as file:
            file.write(MEMCACHED)
        assert served.client("/usr/bin/python3", served.path("client.py"), str(served.port)) == "done\n"
        served.refuses_plain()


def case_postgresql_serves_its_shielded_clients():
    programs = "/usr/lib/postgresql/15/bin/"

    def prepare(served):
        text_of([*served.own, programs + "initdb", "-D", served.path("data"), "-U", "postgres", "--auth=trust",
                 "--locale=C.UTF-8", "-N"], cwd=served.place)

    command = lambda served: [programs + "postgres", "-D", served.path("data"), "-p", str(served.port), "-c",  # noqa: E731
                              "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1"]
    with Served(command, user="postgres", prepare=prepare) as served:
        where = ["-h", "127.0.0.1", "-p", str(served.port), "-U", "postgres"]
        sql = ["/usr/lib/postgresql/15/bin/psql", *where, "-X", "-At", "-v", "ON_ERROR_STOP=1", "postgres", "-c"]
        deadline = time.monotonic() + LIMIT
        while True:  # it listens before it serves
            try:
                assert served.client(*sql, "SELECT 6 * 7") == "42\n"
                break
            except AssertionError as error:
                if "starting up" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        assert served.client(*sql, "SELECT length(repeat('x', 3000000)), md5(repeat('x', 3000000))").startswith("3000000|")
        assert len(served.client(*sql, "SELECT repeat('x', 3000000)")) == 3000001
        served.client(programs + "pgbench", *where, "-i", "-q", "postgres")
        said = served.client(programs + "pgbench", *where, "-n", "-c", "4", "-j", "2", "-t", "100", "postgres")
        assert "400/400" in said and "failed transactions: 0" in said, said
        served.refuses_plain()


def case_mariadb_serves_its_shielded_clients():
    def prepare(served):
        text_of([*served.own, "mariadb-install-db", "--no-defaults", "--datadir=" + served.path("data"),
                 "--auth-root-authentication-method=normal", "--skip-test-db"], cwd=served.place)

    command = lambda served: ["/usr/sbin/mariadbd", "--no-defaults", "--datadir=" + served.path("data"),  # noqa: E731
                              "--port=%d" % served.port, "--bind-address=127.0.0.1", "--socket=" + served.path("sock"),
                              "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--pid-file=" + served.path("pid")]
    with Served(command, user="mysql", prepare=prepare) as served:
        sql = ["/usr/bin/mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(served.port), "-u", "root", "--skip-ssl", "-N", "-e"]
        assert served.client(*sql, "SELECT 6 * 7") == "42\n"
        assert served.client(*sql, "SELECT REPEAT('x', 3000000)") == "x" * 3000000 + "\n"
        load = ["/usr/bin/sysbench", "--db-driver=mysql", "--mysql-host=127.0.0.1", "--mysql-port=%d" % served.port,
                "--mysql-user=root", "--mysql-db=load", "--tables=1", "--table-size=1000", "--threads=4"]
        served.client(*sql, "CREATE DATABASE `load`")
        served.client(*load, "oltp_read_write", "prepare")
        said = served.client(*load, "--events=100", "--time=0", "oltp_read_write", "run")
        assert "total number of events:              100" in said, said
        served.refuses_plain()
