"""Cases with a CAS and an attestation service of their own, as on several machines: `casemate cas serve` over TCP,
`casemate las serve`, `casemate session create`, `casemate run --cas`."""
import functools
import hashlib
import hmac
import os
import re
import select
import shutil
import struct
import subprocess
import sys
import time

from cases import LIMIT, add_secret, expect, wait_for_unlocked

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cas"))
from service import Service  # noqa: E402


class Attestation:
    """`casemate las serve` with a key that stays."""

    def __init__(self, place):
        self.socket = place.path("las.sock")
        self.process = subprocess.Popen([place.casemate, "las", "serve", "--backend", "simulation", "--socket", self.socket,
                                         "--key", place.path("las.key")], stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        found = re.search("key id ([0-9a-f]{64})", line)
        assert found, line
        self.key_id = found.group(1)

    def close(self):
        self.process.terminate()
        self.process.wait(LIMIT)
        self.process.stderr.close()


class Net:
    """A CAS with an owner, and an attestation service whose key its sessions name."""

    def __init__(self, place):
        self.place = place
        self.runtime_port = 0
        self.las = Attestation(place)
        self.cas = Service(place.directory, place.casemate)

    def start(self):
        self.cas.start("--runtime-listen", "127.0.0.1:%d" % self.runtime_port)
        self.runtime_port = int(self.cas.facts["runtime_address"].rsplit(":", 1)[1])
        self.key = self.cas.facts["runtime_key"]
        return self

    def close(self):
        self.cas.close()
        self.las.close()

    def create(self, *words, change=lambda text: text, options=()):
        """A session for a program; its name is the program's."""
        self.place.init(*words, options=options)
        self.place.edit(lambda text: change(re.sub(r"platforms: \[[0-9a-f]{64}\]", "platforms: [%s]" % self.las.key_id,
                                                   text)))
        self.hash = self.good("session", "create", "--literal", self.place.path("policy.yml"))

    def update(self, change):
        self.place.edit(lambda text: change(re.sub("\npredecessor: .*\n", "\n", text)) + "predecessor: %s\n" % self.hash)
        self.hash = self.good("session", "update", "--literal", self.place.path("policy.yml"))

    def good(self, *words):
        done = self.cas.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def words(self, session, *options):
        return ["run", "--quiet", "--state", self.place.state, "--cas", "127.0.0.1:%d" % self.runtime_port, "--las",
                self.las.socket, "--cas-key", self.key, "--session", session, *options]

    def run(self, session, *options, program=(), environment=None):
        words = self.words(session, *options) + (["--", *program] if program else [])
        return self.place.call(*words, environment=environment)

    def begin(self, session):
        """A program that runs on; its standard input and output are pipes."""
        return subprocess.Popen([self.place.casemate, *self.words(session)], cwd=self.place.directory,
                                env={"PATH": "/usr/bin:/bin", "HOME": self.place.directory}, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def with_net(case):
    @functools.wraps(case)
    def run(place):
        net = Net(place)
        try:
            net.start()
            net.cas.claim()
            case(place, net)
        finally:
            net.close()
    return run


def reference_in(done):
    found = re.search(r"reference ([0-9a-f]{16})\)", done[2])
    assert done[0] == 125 and done[1] == "" and found, done
    return found.group(1)


@with_net
def case_tcp_a_program_gets_all_that_its_session_says(place, net):
    net.create("/bin/bash", "-c", "echo $0 $TOKEN $(</etc/token) ${LANG-none} ${OTHER-none}; echo line >> /data/log; "
               "while read -r x; do echo $x; done < /data/log", "ARGUMENT",
               change=lambda text: add_secret(text).replace('"ARGUMENT"', '"$$CASEMATE::token$$"'))
    done = net.run("bash/main", environment={"LANG": "C", "OTHER": "x"})
    assert done[0] == 0, done
    words = done[1].split()
    assert len(words[0]) == 32 and words[1:] == [words[0], "token=" + words[0], "C", "none", "line"], done
    again = net.run("bash/main", environment={"LANG": "C"})
    assert again[0] == 0 and again[1].split() == words + ["line"], (done, again)
    entries = net.good("cas", "audit")
    assert entries.count("\nverdict") + entries.count(" verdict\n") >= 2 and "release" in entries, entries
    assert words[0] not in entries, "a secret in the log"
    assert not any(words[0] in line for line in net.cas.events), "a secret in the CAS's events"


@with_net
def case_tcp_variables_stand_for_options(place, net):
    net.create("/bin/echo", "x")
    address = "127.0.0.1:%d" % net.runtime_port
    for prefix in ("CASEMATE", "SCONE"):
        chosen = {prefix + "_CAS_ADDR": address, prefix + "_CONFIG_ID": "echo/main", prefix + "_LAS_ADDR": net.las.socket}
        expect(place.call("run", "--quiet", "--state", place.state, environment=chosen), 0, "x\n")
    expect(place.call("run", "--quiet", "--state", place.state, environment={"CASEMATE_CONFIG_ID": "echo/main"}), 125, "",
           "CASEMATE_CAS_ADDR")


@with_net
def case_tcp_the_wrong_key_of_a_cas_is_refused(place, net):
    net.create("/bin/echo", "x")
    expect(net.run("echo/main"), 0, "x\n")
    net.key = "0" * 64
    expect(net.run("echo/main"), 125, "", "another key than --cas-key says: [0-9a-f]{64}")


@with_net
def case_tcp_owners_learn_why_and_others_do_not(place, net):
    net.create("/bin/echo", "x", change=lambda text: re.sub(r"mrenclave: \[[0-9a-f]{64}\]", "mrenclave: [%s]" % ("0" * 64),
                                                            text))
    reference = reference_in(net.run("echo/main"))
    why = net.good("cas", "why", reference)
    assert re.search("rule +`attestation` of service 'main'", why) and "0" * 64 in why and "advice" in why, why
    measured = re.search("found +([0-9a-f]{64})", why).group(1)
    stranger = place.path("stranger")
    net.cas.identity(client=stranger)
    net.cas.trust_as(stranger)
    hidden = net.cas.run("cas", "why", reference, client=stranger)
    assert hidden.returncode == 1 and "404" in hidden.stderr and measured not in hidden.stderr, hidden
    unknown = net.cas.run("cas", "why", "0123456789abcdef")
    assert unknown.returncode == 1 and "404" in unknown.stderr, unknown
#The advice is true.
    net.update(lambda text: text.replace("0" * 64, measured, 1))
    expect(net.run("echo/main"), 0, "x\n")


@with_net
def case_tcp_changed_and_removed_sessions_take_effect_at_once(place, net):
    net.create("/bin/echo", "old")
    expect(net.run("echo/main"), 0, "old\n")
    net.update(lambda text: text.replace('"old"', '"new"'))
    expect(net.run("echo/main"), 0, "new\n")
    net.update(lambda text: re.sub(r"platforms: \[[0-9a-f]{64}\]", "platforms: [%s]" % ("1" * 64), text))
    assert "evidence" in net.good("cas", "why", reference_in(net.run("echo/main")))
    net.good("session", "delete", "echo", "--hash", net.hash)
    assert "no such session" in net.good("cas", "why", reference_in(net.run("echo/main")))


@with_net
def case_tcp_old_copies_of_volumes_are_refused(place, net):
    net.create("/bin/bash", "-c", "echo line >> /data/log")
    expect(net.run("bash/main"), 0)
    volume = os.path.join(place.state, "volumes", "bash%2Fdata.cmv")
    wait_for_unlocked(volume)
    with open(volume, "rb") as file:
        old = file.read()
    expect(net.run("bash/main"), 0)
    wait_for_unlocked(volume)
    with open(volume, "wb") as file:
        file.write(old)
    done = net.run("bash/main")
    assert done[0] == 125 and "bash%2Fdata.cmv" in done[2], done


@with_net
def case_tcp_a_cas_that_is_gone_is_told(place, net):
    net.create("/bin/echo", "x")
    net.cas.stop()
    expect(net.run("echo/main"), 125, "", r"cannot reach the CAS at 127\.0\.0\.1:%d: " % net.runtime_port)
    net.start()
    expect(net.run("echo/main"), 0, "x\n")


@with_net
def case_tcp_an_attestation_service_that_is_gone_is_told(place, net):
    net.create("/bin/echo", "x")
    net.las.socket += ".gone"
    expect(net.run("echo/main"), 125, "", "cannot reach the attestation service")


@with_net
def case_tcp_a_cas_that_was_rolled_back_starts_nothing(place, net):
    net.create("/bin/echo", "x")
    net.cas.stop()
    saved = files_of(net)
    net.start()
    expect(net.run("echo/main"), 0, "x\n")
    net.good("cas", "audit")  # the client keeps the newest head
    net.cas.stop()
    put_back(net, saved)
    net.start()
    refused = net.cas.run("session", "list")
    assert refused.returncode == 1, refused
    reference_in(net.run("echo/main"))


WRITER = ("while read -r x; do echo $x >> /data/log; if sync /data/log; then echo synced $x; else echo failed $x; fi; "
          "done; echo $(</data/log)")


class Writer:
    """A program that makes every line durable that it is given, and says whether that went well."""

    def __init__(self, net, change=lambda text: text):
        net.create("/bin/bash", "-c", WRITER, change=change, options=["--file", "/usr/bin/sync", "--file", "/bin/sync"])
        self.net = net
        self.again()

    def again(self):
        self.process = self.net.begin("bash/main")

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline().strip()
        assert line, "the program ended with %s: %s" % (self.process.wait(LIMIT), self.process.stderr.read())
        return line

    def has_said(self, seconds):
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def tell(self, line):
        self.say(line)
        return self.hear()

    def end(self):
        self.process.stdin.close()
        rest = self.process.stdout.read().strip()
        assert self.process.wait(LIMIT) == 0, self.process.stderr.read()
        volume = os.path.join(self.net.place.state, "volumes", "bash%2Fdata.cmv")
        wait_for_unlocked(volume)
        return rest


@with_net
def case_tcp_a_killed_cas_that_comes_back_is_waited_for(place, net):
    writer = Writer(net)
    assert writer.tell("a") == "synced a"
    for line in ("b", "c"):
        net.cas.kill()
        writer.say(line)
        assert not writer.has_said(0.5), "a sync that nobody acknowledged"
        net.start()
        assert writer.hear() == "synced " + line
        assert writer.tell(line + line) == "synced " + line + line
    assert writer.end() == "a b bb c cc"
    writer.again()
    assert writer.end() == "a b bb c cc", "the newest state is what the CAS knows"
    assert net.good("cas", "audit").count(" release\n") == 4


@with_net
def case_tcp_syncs_fail_without_the_cas_where_the_session_says_stop(place, net):
    writer = Writer(net, lambda text: text.replace("freshness: strict", "freshness: strict, on_cas_loss: stop"))
    assert writer.tell("a") == "synced a"
    net.cas.kill()
    assert writer.tell("b") == "failed b"
    net.start()
    assert writer.tell("c") == "failed c", "for good"
    writer.process.stdin.close()
    writer.process.wait(LIMIT)


@with_net
def case_tcp_syncs_go_on_without_the_cas_where_the_session_says_so(place, net):
    writer = Writer(net, lambda text: text.replace("freshness: strict",
                                                   "freshness: strict, on_cas_loss: insecure-continue"))
    assert writer.tell("a") == "synced a"
    net.cas.kill()
    assert writer.tell("b") == "synced b"
    net.start()
    assert writer.end() == "a b"


@with_net
def case_tcp_a_service_whose_session_changed_does_not_come_back(place, net):
    writer = Writer(net)
    assert writer.tell("a") == "synced a"
    net.cas.kill()
    net.start()
    net.update(lambda text: re.sub(r"platforms: \[[0-9a-f]{64}\]", "platforms: [%s]" % ("1" * 64), text))
    assert writer.tell("b") == "failed b"
    writer.process.stdin.close()
    writer.process.wait(LIMIT)


@with_net
def case_tcp_a_service_that_was_replaced_meanwhile_is_told_so(place, net):
    writer = Writer(net)
    assert writer.tell("a") == "synced a"
    net.cas.kill()
    net.start()
    newer = net.run("bash/main")  # holds the volume at the CAS from now on, and finds its file in use
    assert newer[0] == 125, newer
    assert writer.tell("b") == "failed b"
    writer.process.stdin.close()
    writer.process.wait(LIMIT)


@with_net
def case_tcp_a_cas_that_comes_back_with_an_old_database_gets_nothing(place, net):
    writer = Writer(net)
    assert writer.tell("a") == "synced a"
    net.cas.stop()
    saved = files_of(net)
    net.start()
    assert writer.tell("b") == "synced b"
    net.cas.kill()
    put_back(net, saved)
    net.start()
    assert writer.tell("c") == "failed c"
    writer.process.stdin.close()
    writer.process.wait(LIMIT)


READER = """import signal, sys
told = []
signal.signal(signal.SIGURG, lambda *_: told.append(1))
first = open("/etc/token")
first.readline()
for line in sys.stdin:
    first.seek(0)
    with open("/etc/token") as now:
        print(now.read(), first.read(), len(told), flush=True)
"""
POLLS = 150


class Reader:
    """A program that says what its secret's file has now, what the file has that it opened at first, and how often it was
    told that a file is new."""

    def __init__(self, place, begin):
        self.place = place
        self.process = begin()

    @staticmethod
    def session(place, text):
        """With a secret of the session's text, which a line of its own has."""
        text = text.replace("    regions:\n", "    injection_files: [{path: /etc/token, content: $$CASEMATE::token$$}]\n"
                            "    regions:\n", 1)
        return text + "secrets: [{name: token, kind: ascii, value: first}]\n"

    @staticmethod
    def renewed(text, value):
        return re.sub("kind: ascii, value: [a-z]+", "kind: ascii, value: " + value, text)

    def look(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        assert len(words) == 3, (words, self.process.poll())
        return words

    def wait_for(self, value):
        for _ in range(POLLS):
            seen = self.look()
            if seen[0] == value and seen[2] != "0":
                return seen
            time.sleep(0.1)
        raise AssertionError("%s was not seen, but %s" % (value, seen))

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(LIMIT) == 0
        return self.process.stderr.read()


def make_reader(place, net):
    script = place.write("reader.py", READER)
    net.create("/usr/bin/python3", script, change=lambda text: Reader.session(place, text))
    name = os.path.basename(os.path.realpath("/usr/bin/python3"))
    session = next(name for name in ("python3", name) if name in net.good("session", "list").split())
    words = [word for word in net.words(session + "/main") if word != "--quiet"]
    return Reader(place, lambda: subprocess.Popen([place.casemate, *words], cwd=place.directory, stdin=subprocess.PIPE,
                                                  env={"PATH": "/usr/bin:/bin", "HOME": place.directory}, text=True,
                                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE))


@with_net
def case_tcp_a_renewed_secret_reaches_the_file_of_a_running_program(place, net):
    reader = make_reader(place, net)
    assert reader.look() == ["first", "first", "0"]
    for number, value in enumerate(("second", "third"), 1):
        net.update(lambda text: Reader.renewed(text, value))
        assert reader.wait_for(value)[:2] == [value, "first"], "the open file stays whole"
        assert reader.look()[2] == str(number), "told once"
    reader.end()


@with_net
def case_tcp_a_cas_that_is_killed_while_it_pushes_pushes_when_it_is_back(place, net):
    reader = make_reader(place, net)
    assert reader.look() == ["first", "first", "0"]
    for value in ("second", "third", "fourth"):
        net.update(lambda text: Reader.renewed(text, value))
        net.cas.kill()
        net.start()
        reader.wait_for(value)
    reader.end()


@with_net
def case_tcp_a_cas_that_was_put_back_pushes_no_older_secret(place, net):
    reader = make_reader(place, net)
    assert reader.look() == ["first", "first", "0"]
    net.cas.stop()
    saved = files_of(net)
    net.start()
    net.update(lambda text: Reader.renewed(text, "second"))
    reader.wait_for("second")
    net.cas.stop()
    put_back(net, saved)
    net.start()
    told = ""
    while "sent an older state" not in told:
        told = reader.process.stderr.readline()
        assert told, "it ended"
    assert reader.look()[0] == "second"
    reader.end()


@with_net
def case_tcp_a_revoked_service_loses_its_volumes_and_is_told(place, net):
    writer = Writer(net)
    writer.tell("a")
    writer.process.stdin.close()
    writer.process.wait(LIMIT)
    wait_for_unlocked(os.path.join(place.state, "volumes", "bash%2Fdata.cmv"))
    words = [word for word in net.words("bash/main") if word != "--quiet"]
    writer.process = subprocess.Popen([place.casemate, *words], cwd=place.directory, stdin=subprocess.PIPE,
                                      env={"PATH": "/usr/bin:/bin", "HOME": place.directory}, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.tell("b") == "synced b"
    net.update(lambda text: re.sub(r"platforms: \[[0-9a-f]{64}\]", "platforms: [%s]" % ("1" * 64), text))
    reference = None
    while not reference:
        line = writer.process.stderr.readline()
        assert line, "it ended"
        reference = re.search(r"the CAS revoked this service \(reference ([0-9a-f]{16})\)", line)
    assert writer.tell("c") == "failed c"
    assert "evidence" in net.good("cas", "why", reference.group(1))
    writer.process.stdin.close()
    writer.process.wait(LIMIT)


def case_renewed_secrets_reach_running_programs_of_an_embedded_cas(place):
    script = place.write("reader.py", READER)
    place.init("/usr/bin/python3", script)
    place.edit(lambda text: Reader.session(place, text))
    words = [place.casemate, "run", "--state", place.state, "--policy", "policy.yml"]
    reader = Reader(place, lambda: subprocess.Popen(words, cwd=place.directory, stdin=subprocess.PIPE, text=True,
                                                    env={"PATH": "/usr/bin:/bin", "HOME": place.directory},
                                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    assert reader.look() == ["first", "first", "0"]
    place.edit(lambda text: Reader.renewed(text, "second"))
    other = place.run()  # a second instance brings the text
    assert other[0] in (0, 125), other
    assert reader.wait_for("second")[:2] == ["second", "first"]
    reader.end()


def files_of(net):
    saved = {}
    for directory, _, names in os.walk(net.cas.state):
        for name in names:
            with open(os.path.join(directory, name), "rb") as file:
                saved[os.path.join(directory, name)] = file.read()
    with open(net.cas.anchor, "rb") as file:
        saved[net.cas.anchor] = file.read()
    return saved


def put_back(net, saved):
    """Nothing of what came later stays: a journal would bring it back."""
    shutil.rmtree(net.cas.state)
    for path, contents in saved.items():
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(contents)


# --- what sessions ask of a start besides evidence

def one_time_password(key, steps=0):
    """RFC 6238, written from the standard."""
    step = int(time.time()) // 30 + steps
    digest = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
    at = digest[19] & 15
    return "%06d" % ((int.from_bytes(digest[at:at + 4], "big") & 0x7fffffff) % 1000000)


def tolerate_and(more):
    return lambda text: text.replace("{attestation: {tolerate: [simulation]}}", "{attestation: {tolerate: [simulation]%s" % more)


def why(net, done):
    return net.good("cas", "why", reference_in(done))


@with_net
def case_tcp_a_one_time_password_opens_once(place, net):
    key = os.urandom(20)
    net.create("/bin/echo", "in", change=lambda text: tolerate_and(
        ', one_time_password_shared_secret: "$$CASEMATE::otp:base32nopad$$"}}')(text) +
        "secrets: [{name: otp, kind: binary, value: \"%s\"}]\n" % key.hex())
    refused = net.run("echo/main")
    assert "one_time_password" in why(net, refused), refused
    password = one_time_password(key)
    expect(net.run("echo/main@" + password), 0, "in\n")
    replayed = net.run("echo/main@" + password)
    told = why(net, replayed)
    assert "one that was used" in told and password not in told, told
    net.cas.kill()
    net.start()
    again = net.run("echo/main@" + password)
    assert "one that was used" in why(net, again), "also after a crash"


@with_net
def case_tcp_an_access_token_of_another_session_starts_nothing(place, net):
    token = "tenant-%s" % os.urandom(12).hex()
    net.create("/bin/echo", "in", change=lambda text: tolerate_and("}, service_access_token: $$CASEMATE::token$$}")(text) +
               "secrets: [{name: token, kind: ascii, value: %s}]\n" % token)
    assert "service_access_token" in why(net, net.run("echo/main"))
    told = why(net, net.run("echo/main", environment={"CASEMATE_SERVICE_ACCESS_TOKEN": "tenant-of-another"}))
    assert "service_access_token" in told and token not in told and "tenant-of" not in told, told
    for name in ("CASEMATE_SERVICE_ACCESS_TOKEN", "SCONE_SERVICE_ACCESS_TOKEN"):
        expect(net.run("echo/main", environment={name: token}), 0, "in\n")


@with_net
def case_tcp_a_singleton_runs_once(place, net):
    net.create("/bin/bash", "-c", "echo up; read -r x; echo $x",
               change=tolerate_and("}, singleton_enclaves: true}"))
    first = net.begin("bash/main")
    try:
        assert first.stdout.readline() == "up\n", first.stderr.read()
        assert "singleton" in why(net, net.run("bash/main"))
        out, error = first.communicate("done\n", LIMIT)
        assert first.returncode == 0 and out == "done\n", error
        deadline = time.monotonic() + LIMIT
        done = net.run("bash/main")
        while done[0] == 125 and time.monotonic() < deadline:  # its keeper says goodbye a moment later
            done = net.run("bash/main")
        expect(done, 0, "up\n\n")
    finally:
        first.kill()
        first.wait()


@with_net
def case_tcp_without_the_rule_two_instances_run(place, net):
    net.create("/bin/bash", "-c", "echo up; read -r x; echo $x",  # a volume has one user, whatever the rule
               change=lambda text: text.replace("    volumes: [{name: data, path: /data}]\n", ""))
    first = net.begin("bash/main")
    try:
        assert first.stdout.readline() == "up\n", first.stderr.read()
        expect(net.run("bash/main"), 0, "up\n\n")
    finally:
        first.communicate("\n", LIMIT)


@with_net
def case_tcp_a_volume_is_imported_with_its_owners_consent_only(place, net):
    plain, exported = ("volumes: [{name: data, freshness: strict%s}]" % more for more in ("", ", export: reader"))
    net.create("/bin/bash", "-c", "echo line >> /data/log", change=lambda text: text.replace(plain, exported))
    owner_text, owner_hash = read_file(place.path("policy.yml")), net.hash
    expect(net.run("bash/main"), 0)
    os.remove(place.path("policy.yml"))
    net.create("/bin/bash", "-c", "echo more >> /data/log; while read -r x; do echo $x; done < /data/log",
               change=lambda text: text.replace(plain, "volumes: [{name: data, import: {session: bash, volume: data}}]"),
               options=["--name", "reader"])
    volume = os.path.join(place.state, "volumes", "bash%2Fdata.cmv")
    wait_for_unlocked(volume)
    expect(net.run("reader/main"), 0, "line\nmore\n")
    wait_for_unlocked(volume)
    shutil.copyfile(volume, place.path("old"))
    expect(net.run("bash/main"), 0)
    wait_for_unlocked(volume)
    shutil.copyfile(volume, place.path("new"))
    shutil.copyfile(place.path("old"), volume)
    done = net.run("reader/main")
    assert done[0] == 125 and "bash%2Fdata.cmv" in done[2], "an old copy is refused to everybody: %r" % (done,)
    shutil.copyfile(place.path("new"), volume)
    expect(net.run("reader/main"), 0, "line\nmore\nline\nmore\n")
    place.write("policy.yml", owner_text)
    net.hash = owner_hash
    net.update(lambda text: text.replace(exported, plain))
    assert "export" in why(net, net.run("reader/main")), "consent was taken back"
    expect(net.run("bash/main"), 0)


def read_file(path):
    with open(path) as file:
        return file.read()
