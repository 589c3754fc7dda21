"""A CAS as a test has it: the server process, its command line, and raw requests with a client's certificate."""
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time

TIME_LIMIT = 120  # seconds: only so that nothing hangs for ever


class Service:
    def __init__(self, directory, casemate, prefix=()):
        self.directory, self.casemate, self.prefix = directory, casemate, prefix
        self.state = os.path.join(directory, "cas")
        self.anchor = os.path.join(directory, "cas-anchor")
        self.client = os.path.join(directory, "client")
        self.process, self.port, self.events, self.facts = None, 0, [], {}

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def start(self, *more):
        """Until it listens; raises with what it said when it ends instead."""
        words = [*self.prefix, self.casemate, "cas", "serve", "--state", self.state, "--anchor", self.anchor,
                 "--listen", "127.0.0.1:%d" % self.port, "--anchor-seconds", "1", *more]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.events, said = [], []
        for line in self.process.stderr:
            said.append(line)
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "listening":
                self.facts = event
                self.port = int(event["address"].rsplit(":", 1)[1])
                threading.Thread(target=self._drain, args=(self.process,), daemon=True).start()
                return self
        raise AssertionError("the server ended with %s: %s" % (self.process.wait(), "".join(said)))

    def _drain(self, process):
        for line in process.stderr:
            self.events.append(line)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(TIME_LIMIT) == 0, "the server did not stop in order"

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()

    def run(self, *words, client=None, text=None):
        more = ["--client-dir", client or self.client]
        return subprocess.run([self.casemate, *words, *more], capture_output=True, text=True, input=text,
                              timeout=TIME_LIMIT)

    def identity(self, client=None):
        done = self.run("identity", client=client)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def claim(self):
        token = os.path.join(self.state, "claim-token")
        done = self.run("cas", "claim", self.address, "--token-file", token)
        assert done.returncode == 0, done.stderr
        self.log_id = re.search(r"log id ([0-9a-f]{64})", done.stdout).group(1)
        self.server_key = re.search(r"server key ([0-9a-f]{64})", done.stdout).group(1)
        return self

    def trust_as(self, client):
        done = self.run("cas", "trust", self.address, "--server-key", self.server_key, "--log-id", self.log_id,
                        client=client)
        assert done.returncode == 0, done.stderr

    def connect(self, client=None):
        """A connection of Python's own HTTP client; client="" has no certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        folder = self.client if client is None else client
        if folder:
            context.load_cert_chain(os.path.join(folder, "client-certificate.pem"),
                                    os.path.join(folder, "client-key.pem"))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=TIME_LIMIT, context=context)

    def ask(self, method, target, body=None, client=None, headers=None, connection=None):
        """(status, JSON or text, headers)"""
        own = connection or self.connect(client)
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        own.request(method, target, data, headers or {})
        answer = own.getresponse()
        raw = answer.read().decode("utf-8")
        if not connection:
            own.close()
        is_json = "json" in (answer.getheader("Content-Type") or "")
        return answer.status, json.loads(raw) if is_json else raw, dict(answer.getheaders())


class Writer(threading.Thread):
    """Replaces its session's version again and again; a request without an answer is sent again until it has one."""

    def __init__(self, service, name):
        super().__init__(daemon=True)
        self.service, self.name = service, name
        self.acknowledged, self.ends, self.failure = [], False, None
        self.reconnected = 0

    def run(self):
        try:
            connection, hash_before, number = None, "", 0
            while not self.ends:
                number += 1
                text = "version: casemate-1\n"
                text += "predecessor: %s\n" % hash_before if hash_before else ""
                text += "volumes: [{name: v%d}]\n" % number
                connection, answer = self.put(connection, text)
                if answer is None:
                    return
                hash_before = answer["hash"]
                self.acknowledged.append((answer["version"], answer["hash"], answer["unchanged"]))
        except Exception as failure:  # noqa: BLE001: told by the case
            self.failure = "%s: %r" % (self.name, failure)

    def put(self, connection, text):
        while True:
            try:
                connection = connection or self.service.connect()
                status, answer, _ = self.service.ask("PUT", "/v1/sessions/" + self.name, {"text": text},
                                                     connection=connection)
            except (OSError, http.client.HTTPException):
                if connection:
                    connection.close()
                connection = None
                self.reconnected += 1
                if self.ends:
                    return None, None
                time.sleep(0.02)
                continue
            if status in (200, 201):
                return connection, answer
            if status != 503:
                raise AssertionError("%d %s" % (status, answer))
            if self.ends:
                return None, None
            time.sleep(0.02)
