"""MariaDB as Debian ships it, as an attested service: its configuration, its table key, its TLS key and its passwords are
in a session only, its data directory is an encrypted volume. The client is a service of the same session, so nobody
outside ever has the password. Used by tools/demo-attested.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

LIMIT = 120
PROGRAMS = {"mariadbd": "/usr/sbin/mariadbd", "file_key_management.so": "/usr/lib/mysql/plugin/file_key_management.so"}
TOOLS = ("/usr/bin/mariadb",)
INSIDE = "/etc/casemate"  # where injected files appear

# The system tables are made at the first start, as mariadb-install-db does it, but inside. Certificates are the session's.
START = """#!/bin/bash
set -eu
data=/var/lib/mysql share=/usr/share/mysql
if [ ! -e $data/installed ]; then
  {
    printf '%s;\\n' 'CREATE DATABASE IF NOT EXISTS mysql' 'USE mysql' 'SET @auth_root_socket=NULL'
    for part in system_tables performance_tables system_tables_data; do printf '%s\\n' "$(<$share/mysql_$part.sql)"; done
    printf '%s\\n' "$(<$share/maria_add_gis_sp_bootstrap.sql)"
  } | DIRECTORY/mariadbd --defaults-file=INSIDE/my.cnf --bootstrap --skip-ssl
  : >$data/installed
fi
exec DIRECTORY/mariadbd --defaults-file=INSIDE/my.cnf --init-file=INSIDE/users.sql
"""
CONFIGURATION = """[mysqld]
datadir = /var/lib/mysql
plugin_dir = DIRECTORY
bind-address = 127.0.0.1
port = PORT
socket = /tmp/mysql.sock
pid-file = /tmp/mysqld.pid
innodb_buffer_pool_size = 32M
innodb_log_file_size = 16M
skip-name-resolve
plugin_load_add = file_key_management
file_key_management_filename = INSIDE/table-keys
innodb_encrypt_tables = FORCE
ssl_cert = INSIDE/server.crt
ssl_key = INSIDE/tls.key
"""
USERS = """CREATE DATABASE IF NOT EXISTS clinic;
CREATE TABLE IF NOT EXISTS clinic.visit (id INT AUTO_INCREMENT PRIMARY KEY, patient VARCHAR(200));
ALTER USER root@localhost IDENTIFIED BY '$$CASEMATE::root_password$$';
CREATE USER IF NOT EXISTS doctor@'127.0.0.1' IDENTIFIED BY '$$CASEMATE::doctor_password$$' REQUIRE SSL;
GRANT ALL ON clinic.* TO doctor@'127.0.0.1';
"""
CLIENT = """#!/bin/bash
set -eu
exec mariadb --defaults-file=INSIDE/client.cnf --skip-column-names -e "$1"
"""
CLIENT_CONFIGURATION = """[client]
host = 127.0.0.1
port = PORT
user = doctor
password = $$CASEMATE::doctor_password$$
ssl-ca = INSIDE/ca.crt
ssl-verify-server-cert
"""
# Only so that the demo knows what to look for everywhere else: no real session has such a service.
WITNESS = """#!/bin/bash
printf '%s\\n' "$(<INSIDE/client.cnf)" "$(<INSIDE/table-keys)" "$(<INSIDE/users.sql)"
"""
TABLE_KEYS = "1;$$CASEMATE::table_key:hex$$\n"
SECRETS = """secrets:
  - {name: table_key, kind: binary, size: 32}
  - {name: root_password, kind: ascii, size: 32}
  - {name: doctor_password, kind: ascii, size: 32}
  - {name: tls, kind: private-key, key_type: P-256}
  - {name: server, kind: x509, private_key: tls, issuer: ca, common_name: 127.0.0.1, san: ["ip:127.0.0.1"], endpoint: server}
  - {name: ca_key, kind: private-key, key_type: P-256}
  - {name: ca, kind: x509-ca, private_key: ca_key, common_name: clinic, export_public: true}
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_until_ready(process, said):
    """By its log: it listens a moment before, and SIGTERM in that moment makes MariaDB hang, natively as well."""
    deadline = time.monotonic() + LIMIT
    while "ready for connections" not in said():
        assert process.poll() is None, "MariaDB ended: " + said()
        assert time.monotonic() < deadline, "MariaDB does not get ready: " + said()
        time.sleep(0.05)


def end(process):
    if process and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class MariaDb:
    """One installation: `place` is a directory of the service's user, `casemate` the command line."""

    def __init__(self, place, casemate, login=None, user=None):
        self.place, self.casemate, self.login = place, casemate, login
        self.user = os.getuid() if user is None else user
        self.state, self.policy, self.application = self.path("state"), self.path("clinic.yml"), self.path("application")
        self.port = free_port()
        self.server = None
        os.mkdir(self.application)
        for name, source in PROGRAMS.items():
            shutil.copy(source, os.path.join(self.application, name))

    def path(self, name):
        return os.path.join(self.place, name)

    @property
    def volume(self):
        return os.path.join(self.state, "volumes", "clinic%2Fdata.cmv")

    def filled(self, text):
        for name, value in (("DIRECTORY", self.application), ("INSIDE", INSIDE),
                            ("PORT", str(self.port))):
            text = text.replace(name, value)
        return text

    def injected(self, files):
        lines = ["    injection_files:"]
        for name, text in files.items():
            path, mode = (name, "0444") if name.startswith("/") else (INSIDE + "/" + name, "0500")
            lines += ["      - path: " + path, '        mode: "%s"' % mode, "        content: |"]
            lines += ["          " + line for line in self.filled(text).splitlines()]
        return "\n".join(lines) + "\n"

    def call(self, *words, **options):
        options.setdefault("env", {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": self.place, "LANG": "C"})
        return subprocess.run([self.casemate, *words], cwd=self.place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=LIMIT, preexec_fn=self.login, text=True, **options)

    def write_policy(self):
        """`casemate session init` lists the code; what is added is what any owner would add by hand."""
        options = [word for path in [os.path.join(self.application, name) for name in PROGRAMS] + list(TOOLS)
                   for word in ("--file", path)]
        done = self.call("session", "init", "--state", self.state, "--name", "clinic", "-o", self.policy, *options,
                         "--tree", "/usr/share/mysql", "--", "/bin/bash", INSIDE + "/start")
        assert done.returncode == 0, done.stderr
        with open(self.policy) as file:
            text = file.read()
        common = {"/etc/passwd": "service:x:%d:%d::/:/bin/sh\n" % (self.user, self.user),
                  "users.sql": USERS}
        server = {"start": START, "my.cnf": CONFIGURATION, "table-keys": TABLE_KEYS, "tls.key": "$$CASEMATE::tls:pem$$\n",
                  "server.crt": "$$CASEMATE::server:chain$$\n"}
        tools = {"client": CLIENT, "client.cnf": CLIENT_CONFIGURATION, "ca.crt": "$$CASEMATE::ca$$\n", "witness": WITNESS, "table-keys": TABLE_KEYS}
        text = text.replace("    regions:\n", self.injected({**common, **server}) + "    regions:\n", 1).replace("path: /data}", "path: /var/lib/mysql}")
        text = re.sub(r"    pwd: .*", "    pwd: /", text)
        service = re.search(r"  - name: main\n.*?(?=^images)", text, re.S | re.M).group(0)
        others = [service.replace("- name: main", "- name: " + name).replace("/start\"", "/%s\"%s" % (name, words))
                  for name, words in (("client", '\n      - "@@1"'), ("witness", ""))]
        image = re.search(r"^images:\n(.*?)(?=^volumes)", text, re.S | re.M).group(1)
        without_data = re.sub("    volumes: .*\n", "", image).replace(self.injected({**common, **server}),
                                                                       self.injected({**common, **tools}))
        others = [other.replace("image_name: main", "image_name: tools") for other in others]
        text = text.replace(image, image + without_data.replace("- name: main", "- name: tools"))
        text = text.replace(service, service + "".join(others))
        with open(self.policy, "w") as file:
            file.write(text + SECRETS)
        os.chmod(self.policy, 0o644)

    def run_words(self, service, *words):
        return ["run", "--quiet", "--state", self.state, "--policy", self.policy, "--service", service,
                *(["--", *words] if words else [])]

    def start(self):
        """Until it answers; raises with its log."""
        self.log = open(self.path("server.log"), "w+b")
        self.server = subprocess.Popen([self.casemate, *self.run_words("main")], cwd=self.place, preexec_fn=self.login,
                                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
                                       env={"PATH": "/usr/bin:/bin", "HOME": self.place})
        wait_until_ready(self.server, self.said)

    def start_natively(self):
        """The control: the same programs, the same configuration, where everybody keeps it: in files, with the password
        in the environment, as container images of MariaDB ask for it. Secrets are made as CAS makes them."""
        values = {"table_key:hex": os.urandom(32).hex(), "root_password": os.urandom(16).hex(),
                  "doctor_password": os.urandom(16).hex()}
        self.native_secrets = {"doctor's password": values["doctor_password"], "root's password": values["root_password"],
                               "table key": values["table_key:hex"]}
        self.native_port = free_port()
        files = {"start": START, "my.cnf": CONFIGURATION, "table-keys": TABLE_KEYS, "users.sql": USERS,
                 "client.cnf": CLIENT_CONFIGURATION}
        for directory in ("native", "native/etc", "native/data"):
            os.mkdir(self.path(directory))
        for name, text in files.items():
            text = self.filled(text).replace(INSIDE, self.path("native/etc")).replace("/var/lib/mysql", self.path("native/data"))
            text = text.replace("/tmp/mysql", self.path("native/mysql")).replace(str(self.port), str(self.native_port))
            text = text.replace(" REQUIRE SSL", "")
            for secret, value in values.items():
                text = text.replace("$$CASEMATE::%s$$" % secret, value)
            text = "\n".join(line for line in text.split("\n") if not re.match(r"ssl", line))
            with open(self.path("native/etc/" + name), "w") as file:
                file.write(text)
        for directory, _, names in os.walk(self.path("native")) if self.login else ():
            for path in [directory] + [os.path.join(directory, name) for name in names]:
                os.chown(path, self.user, -1)
        self.start_native_server()

    def start_native_server(self):
        log = open(self.path("native.log"), "w")
        environment = {"PATH": "/usr/bin:/bin", "MYSQL_ROOT_PASSWORD": self.native_secrets["root's password"]}
        self.native = subprocess.Popen(["/bin/bash", self.path("native/etc/start")], preexec_fn=self.login, env=environment,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True)
        log.close()
        wait_until_ready(self.native, lambda: open(self.path("native.log")).read()[-2000:])

    def native_sql(self, statement, port=None, more=()):
        """The client outside, with the password from its file."""
        done = subprocess.run(["mariadb", "--defaults-file=" + self.path("native/etc/client.cnf"), "--skip-ssl", "-N",
                               "--port=%d" % (port or self.native_port), *more, "-e", statement], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop_native(self):
        end(getattr(self, "native", None))
        self.native = None

    def said(self):
        with open(self.path("server.log"), errors="replace") as file:
            return file.read()[-3000:]

    def sql(self, statement):
        """What the attested client printed."""
        done = self.call(*self.run_words("client", "client", statement))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def secrets(self):
        """Passwords and keys, as the witness saw them inside."""
        done = self.call(*self.run_words("witness"))
        assert done.returncode == 0, done.stderr
        found = {"doctor's password": re.search(r"^password = (\S+)", done.stdout, re.M).group(1),
                 "root's password": re.search(r"root@localhost IDENTIFIED BY '(\S+)'", done.stdout).group(1),
                 "table key": re.search(r"^1;([0-9a-f]{64})", done.stdout, re.M).group(1)}
        return found

    def stop(self):
        if self.server:
            end(self.server)
            self.log.close()
        self.server = None
