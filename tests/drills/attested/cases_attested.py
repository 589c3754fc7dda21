"""Adversaries against an attested service, by power. Every drill first plays the attack where nothing is attested."""
import os
import resource
import shutil
import signal
import sqlite3
import subprocess

import adversary
import application
from cases import Skipped, expect, wait_for_unlocked

MARKER = "marker-%s-never-outside"


def new_marker():
    return MARKER % os.urandom(8).hex()


def require_refusal(done, reason):
    assert done[0] == 125 and done[1] == "" and reason in done[2], done


# --- disk: what lies there is changed or put back

def drill_disk_replaces_the_program(place):
    """Power: disk. The control: the replacement gets the secret."""
    application.build(place)
    application.write_policy(place)
    expect(place.run(), 0)
    application.compile_c(place, application.EVIL_PROGRAM, "app")
    marker = new_marker()
    assert application.run_natively(place, marker).stdout == marker + "\n", "the control does not steal"
    require_refusal(place.run(), "/app: it is not the file that the session lists")


def drill_disk_replaces_a_library(place):
    """Power: disk. The control: the replacement gets the secret."""
    application.build(place)
    application.write_policy(place)
    expect(place.run(), 0)
    application.compile_c(place, application.EVIL_LIBRARY, "libgreet.so", "-shared", "-fPIC")
    marker = new_marker()
    assert application.run_natively(place, marker).stdout.startswith(marker), "the control does not steal"
    require_refusal(place.run(), "/libgreet.so: it is not the file that the session lists")


def drill_disk_replaces_the_configuration(place):
    """Power: disk. The control: the program obeys."""
    application.build(place)
    application.write_policy(place)
    expect(place.run(), 0)
    place.write("app.conf", "colour=red\n")
    assert "colour=red" in application.run_natively(place, "x").stdout, "the control does not obey"
    require_refusal(place.run(), "/app.conf: it is not the file that the session lists")


def drill_disk_edits_the_session_in_the_database(place):
    """Power: disk. The control: a service that keeps its settings in an ordinary database obeys."""
    application.build(place)
    application.write_policy(place)
    expect(place.run(), 0)
    plain = place.path("plain.db")
    with sqlite3.connect(plain) as database:
        database.execute("CREATE TABLE item (table_number, sealed)")
        database.execute("INSERT INTO item VALUES (1, 'colour=blue')")
    edit = "UPDATE item SET sealed = 'colour=red' WHERE table_number = 1"
    place.end()
    for path in (plain, os.path.join(place.state, "cas/cas.db")):
        connection = sqlite3.connect(path)
        with connection:
            connection.execute(edit if path == plain else edit.replace("'colour=red'", "CAST('colour=red' AS BLOB)"))
        connection.close()
    assert sqlite3.connect(plain).execute("SELECT sealed FROM item").fetchone() == ("colour=red",)
    require_refusal(place.run(), "the CAS database was changed outside of the CAS")


def drill_disk_rolls_the_volume_back(place):
    """Power: disk. The control: a plain directory has lost a line, and nobody notices."""
    command = "echo line >> %s; n=0; while read -r x; do n=$((n + 1)); done < %s; echo $n"
    plain = place.path("plain")

    def natively():
        return subprocess.run(["/bin/bash", "-c", command % (plain, plain)], stdout=subprocess.PIPE, text=True).stdout
    assert natively() == "1\n"
    shutil.copyfile(plain, plain + ".old")
    assert natively() == "2\n"
    shutil.copyfile(plain + ".old", plain)
    assert natively() == "2\n", "the control notices"
    place.init("/bin/bash", "-c", command % ("/data/log", "/data/log"))
    volume = os.path.join(place.state, "volumes", "bash%2Fdata.cmv")
    expect(place.run(), 0, "1\n")
    wait_for_unlocked(volume)
    shutil.copyfile(volume, place.path("old"))
    expect(place.run(), 0, "2\n")
    wait_for_unlocked(volume)
    shutil.copyfile(place.path("old"), volume)
    require_refusal(place.run(), "the volume was rolled back")


def drill_disk_rolls_the_cas_back(place):
    """Power: disk, without the anchor's. The control is who has the anchor, too: then it starts (docs: accidents only)."""
    place.init("/bin/bash", "-c", "echo line >> /data/log")
    expect(place.run(), 0)
    place.end()
    copies = [(os.path.join(place.state, name), place.path(name + "-old")) for name in ("cas", "anchor", "volumes")]
    for original, copy in copies:
        subprocess.run(["cp", "-a", original, copy], check=True)
    expect(place.run(), 0)
    place.end()

    def put_back(names):
        for original, copy in copies:
            if os.path.basename(original) in names:
                subprocess.run(["rm", "-rf", original], check=True)
                subprocess.run(["cp", "-a", copy, original], check=True)
    put_back(("cas",))
    require_refusal(place.run(), "is older than its file anchor says")
    put_back(("cas", "anchor", "volumes"))
    expect(place.run(), 0)


# --- network: between the service and the CAS

def drill_network_relays_evidence(place):
    """Power: network. The control: a CAS that does not bind evidence to the channel gives its secret to who relays."""
    application.build(place)
    application.write_policy(place)
    expect(place.run(), 0)
    words = ["run", "--quiet", "--state", place.state, "--las", place.state + "/las.sock", "--session", "app/main", "--cas"]
    marker = new_marker()
    naive = adversary.NaiveCas(place.directory, marker, *application.facts(place))
    man = adversary.ManInTheMiddle(place.directory, naive.address, own_key=os.urandom(32))
    place.call(*words, "unix:" + man.address)
    man.close()
    assert adversary.decode(man.answer)[2] == marker.encode(), "the control does not give its secret"
    assert adversary.replay(naive.address, man.request)[2] == marker.encode(), "the control does not take it twice"
    naive.close()
    for own_key in (None, os.urandom(32)):
        man = adversary.ManInTheMiddle(place.directory, place.state + "/cas.sock", own_key=own_key)
        require_refusal(place.call(*words, "unix:" + man.address), "the CAS refused to start app/main")
        man.close()
        assert adversary.decode(man.answer)[1] == adversary.REFUSAL
        # What was recorded: as it was, and for another service.
        assert adversary.replay(place.state + "/cas.sock", man.request)[1] == adversary.REFUSAL
    fields = adversary.decode(man.request)
    fields[5] = b"other"
    assert adversary.replay(place.state + "/cas.sock", adversary.encode(fields))[1] == adversary.REFUSAL
    expect(place.run(), 0)


def drill_network_learns_nothing_from_the_wire(place):
    """Power: network, passive. The control: the same tap on a channel without TLS."""
    marker = new_marker()
    application.build(place)
    application.write_policy(place, marker)
    expect(place.run(), 0)
    plain = Echo(place.directory, marker)
    tap = adversary.Listening(place.directory, plain.address)
    adversary.read_all(tap.address)
    tap.close()
    plain.close()
    assert marker.encode() in tap.seen, "the control sees nothing"
    tap = adversary.Listening(place.directory, place.state + "/cas.sock")
    expect(place.call("run", "--quiet", "--state", place.state, "--las", place.state + "/las.sock", "--session", "app/main",
                      "--cas", "unix:" + tap.address), 0)
    tap.close()
    assert len(tap.seen) > 2000 and marker.encode() not in tap.seen


class Echo(adversary.Listener):
    def __init__(self, directory, text):
        self.text = text
        super().__init__(directory, "plain.sock")

    def serve(self, connection):
        connection.sendall(self.text.encode())


# --- another user

def drill_other_users_reach_nothing(place):
    """Power: another user of the machine. The control: the usual service, with its secret in argument and file."""
    if os.getuid() != 0:
        raise Skipped("becoming another user needs root")
    marker = new_marker()
    application.build(place)
    application.write_policy(place, marker, "wait")
    place.write("secret", marker)
    look = ("import sys\nseen=0\nfor path in sys.argv[2:]:\n try: seen+=sys.argv[1].encode() in open(path,'rb').read(1<<20)\n"
            " except OSError: pass\nprint(seen)")

    def seen_by_nobody(paths):
        return int(subprocess.run(["/usr/bin/python3", "-c", look, marker, *paths],
                                  stdout=subprocess.PIPE,
                                  preexec_fn=adversary.become(adversary.NOBODY, adversary.NOBODY)).stdout)
    program, _ = application.start(place, ["./app", place.path("app.conf"), marker, "wait"], {"TOKEN": marker})
    files = ["/proc/%d/%s" % (program.pid, name) for name in ("cmdline", "environ", "mem")] + [place.path("secret")]
    assert seen_by_nobody(files) == 2, "the control: argument and file"
    application.stop(program)
    os.unlink(place.path("secret"))
    os.chmod(place.path("policy.yml"), 0o600)
    program, _ = application.start(place, application.policy_words(place))
    ours = [os.path.join(folder, name) for folder, _, names in os.walk(place.directory) for name in names]
    for pid in [program.pid, *adversary.processes_of(place.state)]:
        ours += ["/proc/%d/%s" % (pid, name) for name in ("cmdline", "environ", "maps", "mem", "auxv")]
    found = seen_by_nobody(ours)
    refused = subprocess.run([*application.policy_words(place)], cwd=place.directory, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, preexec_fn=adversary.become(adversary.NOBODY, adversary.NOBODY))
    application.stop(program)
    assert found == 0 and refused.returncode == 125 and refused.stdout == b"", (found, refused)


# --- root, looking

def core_files(place):
    """Where the holders of secrets have their working directories."""
    return [(name, os.stat(os.path.join(folder, name)).st_mtime) for folder in (place.directory, place.state, "/")
            for name in os.listdir(folder) if name.startswith("core")]


def drill_secrets_are_written_nowhere(place):
    """Power: root, reading files and /proc, not memory. Arguments, variables, injected files, volumes, sessions, logs,
    and what crashes leave. The control: the same program natively, where every one of these places has the secret."""
    marker, row = new_marker(), new_marker()
    application.build(place)
    limits = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    with open("/proc/sys/kernel/core_pattern") as file:
        has_core_files = "/" not in file.read() and resource.getrlimit(resource.RLIMIT_CORE)[1] == limits[1]

    def unlimited():
        resource.setrlimit(resource.RLIMIT_CORE, limits)
    program, _ = application.start(place, ["./app", place.path("app.conf"), marker, "wait"], {"TOKEN": marker})
    found = {os.path.basename(path) for path, _ in adversary.find_in_proc([marker])[0]}
    application.stop(program)
    assert found == {"cmdline", "environ"}, "the control: %s" % found
    if has_core_files:
        os.mkdir(place.path("native"))
        subprocess.run(["../app", place.path("app.conf"), marker, "crash"], cwd=place.path("native"), preexec_fn=unlimited,
                       env={"TOKEN": marker}, stdout=subprocess.DEVNULL)
        found, _ = adversary.find_in_files([place.path("native")], [marker])
        assert found, "the control leaves no core file with the secret"
        shutil.rmtree(place.path("native"))

    # The policy has the value as text, which is the owner's: it is given to the CAS, then taken away.
    application.write_policy(place, marker, "wait")
    program, _ = application.start(place, application.policy_words(place), preexec_fn=unlimited)
    before = core_files(place)
    in_proc, count = adversary.find_in_proc([marker])
    assert count > 20 and not in_proc, in_proc
    # Everybody who holds the secret crashes, in a host that allows core files.
    holders = {program.pid, *adversary.processes_of(place.state), *place.service_pids()}
    assert len(holders) == 3, "program, keeper and CAS: %s" % holders
    for pid in holders:
        os.kill(pid, signal.SIGABRT)
    program.communicate(timeout=60)
    # A volume with a row, after an orderly end.
    os.unlink(place.path("policy.yml"))
    place.init("/bin/bash", "-c", "echo %s > /data/row" % row, options=["--name", "rows"])
    expect(place.run(), 0)
    place.end()
    os.unlink(place.path("policy.yml"))
    found, count = adversary.find_in_files([place.directory], [marker])
    assert count > 10 and not found, found
    found, _ = adversary.find_in_files([os.path.join(place.state, "volumes")], [row])
    assert not found, found
    assert core_files(place) == before, core_files(place)


def drill_root_reads_memory_in_simulation(place):
    """Power: root. This attack SUCCEEDS, and the drill says so: simulation has no trusted hardware. What stops it is a
    confidential virtual machine or SGX (docs/security/threat-model.md). When it fails one day, that page changes."""
    if os.getuid() != 0:
        raise Skipped("reading other processes' memory needs root")
    marker = new_marker()
    application.build(place)
    application.write_policy(place, marker, "wait")
    program, _ = application.start(place, application.policy_words(place))
    found = adversary.find_in_memory(program.pid, marker)
    application.stop(program)
    assert found > 0, "root does not find the secret: is this still a simulation?"
