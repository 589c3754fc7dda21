"""The cases of tests/provision/run, each in a directory of its own with a state directory of its own."""
import os
import re
import shutil
import signal
import subprocess
import time

LIMIT = 120


class Skipped(Exception):
    """The machine cannot show this."""


class Place:
    def __init__(self, directory, casemate):
        self.directory = directory
        self.casemate = casemate
        self.state = os.path.join(directory, "s")
        self.login = None  # for preexec_fn: which user calls

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def call(self, *words, environment=None):
        variables = {"PATH": "/usr/bin:/bin", "HOME": self.directory, "LANG": "C"}
        variables.update(environment or {})
        done = subprocess.run([self.casemate, *words], cwd=self.directory, env=variables, timeout=LIMIT, preexec_fn=self.login,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    def init(self, *words, options=()):
        code, _, error = self.call("session", "init", "--state", self.state, "-o", "policy.yml", *options, "--", *words)
        assert code == 0, error

    def edit(self, change):
        with open(self.path("policy.yml")) as file:
            text = change(file.read())
        self.write("policy.yml", text)

    def run(self, *words, options=(), environment=None):
        return self.call("run", "--quiet", "--state", self.state, "--policy", "policy.yml", *options,
                         *(["--", *words] if words else []), environment=environment)

    def service_pids(self):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if b"cas-embedded" in words and self.state.encode() in words:
                found.append(int(pid))
        return found

    def end(self):
        for pid in self.service_pids():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while self.service_pids() and time.monotonic() < deadline:
            time.sleep(0.02)


def expect(done, code, output=None, error=None):
    assert done[0] == code, done
    assert output is None or done[1] == output, done
    assert error is None or re.search(error, done[2]), done


def add_secret(text, more=""):
    """A secret in an argument, a variable and an injected file."""
    text = text.replace("      PATH:", "      TOKEN: $$CASEMATE::token$$\n      PATH:", 1)
    text = text.replace("    regions:\n", "    injection_files: [{path: /etc/token, content: "
                        "\"token=$$CASEMATE::token$$\\n\"}]\n    regions:\n", 1)
    return text + "secrets: [{name: token, kind: ascii, %s}]\n" % (more or "size: 32")


def case_two_commands_attest_a_program(place):
    place.init("/bin/echo", "hello", "two words")
    expect(place.run(), 0, "hello two words\n")


def case_exit_codes_and_second_runs_are_the_programs(place):
    place.init("/bin/bash", "-c", "exit 7")
    expect(place.run(), 7)
    pids = place.service_pids()
    expect(place.run(), 7)
    assert place.service_pids() == pids and len(pids) == 1, "the second run found the service of the first"


def case_secrets_reach_argument_variable_and_file(place):
    place.init("/bin/bash", "-c", "echo \"$0 $TOKEN $(</etc/token)\"", "ARGUMENT")
    place.edit(lambda text: add_secret(text).replace('"ARGUMENT"', '"$$CASEMATE::token$$"'))
    done = place.run()
    assert done[0] == 0, done
    words = done[1].split()
    assert len(words[0]) == 32 and words[1] == words[0] and words[2] == "token=" + words[0], done
    assert place.run() == done, "a generated secret stays"


def case_certificates_of_the_session_satisfy_openssl(place):
    place.init("/bin/bash", "-c", "echo \"$(</etc/web.pem)\"")
    place.edit(lambda text: text.replace("    regions:\n", "    injection_files: [{path: /etc/web.pem, content: "
               "\"$$CASEMATE::web:key$$$$CASEMATE::web:chain$$\"}]\n    regions:\n", 1) +
               "secrets:\n  - {name: key, kind: private-key}\n"
               "  - {name: web, kind: x509, private_key: key, common_name: web, dns: [web.example], endpoint: server}\n")
    done = place.run()
    assert done[0] == 0, done
    assert place.run() == done, "key and certificate stay"
    blocks = re.findall("-----BEGIN [A-Z ]+-----\n.*?-----END [A-Z ]+-----\n", done[1], re.S)
    for name, block in zip(("key", "leaf", "ca"), blocks, strict=True):
        place.write(name + ".pem", block, 0o600)

    def openssl(*words):
        return subprocess.run(["openssl", *words], cwd=place.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=LIMIT)
    strict = ("verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", "sslserver")
    good = openssl(*strict, "-verify_hostname", "web.example", "leaf.pem")
    assert good.returncode == 0, good.stdout
    assert openssl(*strict, "-verify_hostname", "other.example", "leaf.pem").returncode != 0
    assert openssl("verify", "-CAfile", "ca.pem", "-purpose", "sslclient", "leaf.pem").returncode != 0
    of_key, of_leaf = openssl("pkey", "-in", "key.pem", "-pubout"), openssl("x509", "-in", "leaf.pem", "-pubkey", "-noout")
    assert of_key.returncode == 0 and of_key.stdout == of_leaf.stdout, of_key.stdout + of_leaf.stdout


def case_secrets_are_seen_nowhere_else(place):
    marker = "marker-5d1c0a7e-never-outside"
    place.init("/bin/bash", "-c", "echo $TOKEN > /data/t; sleep 3 & echo ready; wait")
    place.edit(lambda text: add_secret(text, "value: " + marker).replace('"/bin/bash"', '"/bin/bash"', 1)
               .replace("    files:\n", "    files:\n      /usr/bin/sleep: %s\n      /bin/sleep: %s\n" % (
                   (digest("/usr/bin/sleep"),) * 2)))
    program = subprocess.Popen([place.casemate, "run", "--quiet", "--state", place.state, "--policy", "policy.yml"],
                               cwd=place.directory, env={"PATH": "/usr/bin:/bin", "HOME": place.directory},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert program.stdout.readline() == b"ready\n", program.stderr.read()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for name in ("cmdline", "environ"):
                try:
                    with open("/proc/%s/%s" % (pid, name), "rb") as file:
                        seen = file.read()
                except OSError:
                    continue
                assert marker.encode() not in seen, "in /proc/%s/%s" % (pid, name)
    finally:
        program.wait(timeout=LIMIT)
    place.end()
    for directory, _, names in os.walk(place.state):
        for name in names:
            path = os.path.join(directory, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                assert marker.encode() not in file.read(), path


def digest(path):
    import hashlib
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def case_variables_pass_only_when_named(place):
    place.init("/bin/bash", "-c", "echo ${LANG-none} ${OTHER-none}")
    expect(place.run(environment={"LANG": "C", "OTHER": "x"}), 0, "C none\n")


def case_volume_keeps_data_between_runs(place):
    place.init("/bin/bash", "-c", "echo line >> /data/log; while read -r x; do echo $x; done < /data/log")
    expect(place.run(), 0, "line\n")
    expect(place.run(), 0, "line\nline\n")
    volume = os.path.join(place.state, "volumes", "bash%2Fdata.cmv")
    with open(volume, "rb") as file:
        assert b"line" not in file.read()


def case_services_of_ordinary_users_write_into_their_volumes(place):
    if os.getuid() != 0:
        raise Skipped("every other case shows it: this user is not root")

    def become_nobody():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    os.chown(place.directory, 65534, 65534)
    place.login = become_nobody
    place.init("/bin/bash", "-c", "echo line >> /data/log; while read -r x; do echo $x; done < /data/log")
    expect(place.run(), 0, "line\n")
    expect(place.run(), 0, "line\nline\n")


def case_old_copy_of_a_volume_is_refused(place):
    place.init("/bin/bash", "-c", "echo line >> /data/log")
    expect(place.run(), 0)
    volume = os.path.join(place.state, "volumes", "bash%2Fdata.cmv")
    wait_for_unlocked(volume)
    shutil.copyfile(volume, place.path("old"))
    expect(place.run(), 0)
    wait_for_unlocked(volume)
    shutil.copyfile(place.path("old"), volume)
    done = place.run()
    assert done[0] == 125 and "bash%2Fdata.cmv" in done[2], done
    os.remove(volume)
    expect(place.run(), 125, error="is missing, but the CAS knows it")


def wait_for_unlocked(path):
    """The keeper of the run before has closed the volume."""
    import fcntl
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def case_changed_program_is_refused(place):
    shutil.copyfile("/bin/echo", place.path("echo"))
    os.chmod(place.path("echo"), 0o755)
    place.init("./echo", "x")
    expect(place.run(), 0, "x\n")
    flip_last_byte(place.path("echo"))
    expect(place.run(), 125, "", "/echo: it is not the file that the session lists")


def flip_last_byte(path):
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))


def case_changed_library_is_refused(place):
    library = shutil.copyfile("/lib/x86_64-linux-gnu/libc.so.6", place.path("libc.so.6"))
    place.init("/bin/echo", "x", options=["--file", library])
    expect(place.run(), 0, "x\n")
    flip_last_byte(library)
    expect(place.run(), 125, "", r"libc\.so\.6: it is not the file that the session lists")


def case_changed_script_and_configuration_are_refused(place):
    script = place.write("job", "#!/bin/bash\necho job $(<" + place.path("job.conf") + ")\n", 0o755)
    place.write("job.conf", "colour=blue\n")
    place.init(script, options=["--file", "job.conf"])
    expect(place.run(), 0, "job colour=blue\n")
    place.write("job.conf", "colour=red\n")
    expect(place.run(), 125, "", r"job\.conf: it is not the file that the session lists")
    place.write("job.conf", "colour=blue\n")
    expect(place.run(), 0, "job colour=blue\n")
    place.write("job", "#!/bin/bash\necho other\n", 0o755)
    expect(place.run(), 125, "", "/job: it is not the file that the session lists")


def case_unlisted_programs_do_not_run(place):
    place.init("/bin/bash", "-c", "/bin/ls / 2>/dev/null; echo $?; echo $(< /etc/hostname) 2>/dev/null; echo end")
    done = place.run()
    assert done[0] == 0 and done[1].split()[0] in ("126", "127") and done[1].endswith("end\n"), done


def case_host_regions_hold_no_code(place):
    shutil.copyfile("/bin/echo", place.path("tool"))
    os.chmod(place.path("tool"), 0o755)
    place.init("/bin/bash", "-c", "%s x; echo $?" % place.path("tool"))
    place.edit(lambda text: text.replace("    regions:\n", "    regions:\n      - {path: %s, protection: host}\n" %
                                         place.directory, 1))
    expect(place.run(), 0, "126\n")


def case_wrong_measurement_is_refused_and_explained(place):
    place.init("/bin/echo", "x")
    place.edit(lambda text: re.sub(r"mrenclave: \[[0-9a-f]{64}\]", "mrenclave: [%s]" % ("0" * 64), text))
    expect(place.run(), 125, "", r"reference [0-9a-f]{16}\)(.|\n)*`attestation` of service 'main'; expected 0{64}; "
           "found [0-9a-f]{64}")


def case_other_attestation_key_is_refused(place):
    place.init("/bin/echo", "x")
    place.edit(lambda text: re.sub(r"platforms: \[[0-9a-f]{64}\]", "platforms: [%s]" % ("0" * 64), text))
    expect(place.run(), 125, "", "evidence: ")


def case_simulation_must_be_tolerated(place):
    place.init("/bin/echo", "x")
    place.edit(lambda text: text.replace("security: {attestation: {tolerate: [simulation]}}\n", ""))
    expect(place.run(), 125, "", "simulation is not tolerated")


def case_changed_keeper_or_runtime_is_refused(place):
    place.init("/bin/echo", "x")
    tools = place.path("bin")
    os.mkdir(tools)
    for name in ("casemate", "casemate-runtime", "casemate-keeper"):
        shutil.copy(os.path.join(os.path.dirname(place.casemate), name), tools)
    place.casemate = os.path.join(tools, "casemate")
    expect(place.run(), 0, "x\n")
    flip_last_byte(os.path.join(tools, "casemate-runtime"))
    expect(place.run(), 125, "", "casemate-runtime is not the one that casemate-keeper was built with")
    shutil.copy(os.path.join(os.path.dirname(tools), "bin", "casemate"), os.path.join(tools, "casemate-keeper"))
    done = place.run()
    assert done[0] != 0 and done[1] == "", done


def case_edited_database_is_refused(place):
    place.init("/bin/echo", "x")
    expect(place.run(), 0, "x\n")
    place.end()
    databases = [os.path.join(directory, name) for directory, _, names in os.walk(os.path.join(place.state, "cas"))
                 for name in names]
    for path in databases:
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            for at in range(4096, len(data), 97):
                data[at] ^= 1
            file.seek(0)
            file.write(data)
    done = place.run()
    assert done[0] == 125 and done[1] == "", done


def case_keeper_accepts_no_environment(place):
    keeper = os.path.join(os.path.dirname(place.casemate), "casemate-keeper")
    done = subprocess.run([keeper, "--provision"], env={"OPENSSL_CONF": "/x"}, stderr=subprocess.PIPE, timeout=LIMIT)
    assert done.returncode == 125 and b"empty environment" in done.stderr, done


def case_command_of_the_host_selects_nothing(place):
    place.init("/bin/echo", "x")
    expect(place.run("/bin/echo", "other"), 125, "", "has its command in the policy")
    place.edit(lambda text: text.replace('"x"', '"@@1"'))
    expect(place.run("/bin/echo", "mine"), 0, "mine\n")


def case_unreachable_cas_is_told(place):
    done = place.call("run", "--state", place.state, "--cas", "127.0.0.1:1", "--session", "a/b")
    assert done[0] == 125 and "cannot reach the CAS at 127.0.0.1:1" in done[2], done


def case_sqlite_keeps_its_database_inside(place):
    if not os.path.exists("/usr/bin/sqlite3"):
        raise Skipped("sqlite3 is not installed")
    place.init("/usr/bin/sqlite3", "/data/db", "create table if not exists t(x); insert into t values(1); "
               "select count(*) from t;")
    expect(place.run(), 0, "1\n")
    expect(place.run(), 0, "2\n")


def case_embedded_cas_over_its_socket_serves_other_runs(place):
    place.init("/bin/echo", "x")
    expect(place.run(), 0, "x\n")
    done = place.call("run", "--quiet", "--state", place.state, "--cas", "unix:" + place.state + "/cas.sock",
                      "--las", place.state + "/las.sock", "--session", "echo/main")
    expect(done, 0, "x\n")
    done = place.call("run", "--quiet", "--state", place.state, "--cas", "unix:" + place.state + "/cas.sock",
                      "--las", place.state + "/las.sock", "--session", "echo/other")
    expect(done, 125, "", "the CAS refused to start echo/other")
    done = place.call("run", "--quiet", "--state", place.state, "--cas", "unix:" + place.state + "/cas.sock",
                      "--cas-key", "0" * 64, "--las", place.state + "/las.sock", "--session", "echo/main")
    expect(done, 125, "", "another key than --cas-key says")
