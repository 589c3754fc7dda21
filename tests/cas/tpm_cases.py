"""The anchor in a TPM: swtpm, the emulator that Debian has, in the place of the chip. The adversary has the machine's disks:
database, anchor files, everything that can be copied; not the TPM's own memory (here the emulator's state)."""
import os
import shutil
import subprocess
import time

from cases import Skipped
from server_cases import TEXT, good, plain, write
from service import Service


class Tpm:
    def __init__(self, directory, name="tpm"):
        if not shutil.which("swtpm"):
            raise Skipped("swtpm is not installed: run make setup")
        self.socket = os.path.join(directory, name + ".sock")
        self.state = os.path.join(directory, name)
        os.mkdir(self.state)
        self.start()

    def start(self):
        self.process = subprocess.Popen(["swtpm", "socket", "--tpm2", "--server", "type=unixio,path=" + self.socket,
                                         "--tpmstate", "dir=" + self.state, "--flags", "not-need-init,startup-clear"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(500):
            if os.path.exists(self.socket):
                return
            assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.01)
        raise AssertionError("swtpm does not listen")

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=30)
        if os.path.exists(self.socket):
            os.unlink(self.socket)


def with_tpm(case):
    def run(bench):
        tpm = Tpm(bench.directory)
        service = Service(bench.directory, bench.casemate)
        service.anchor = "tpm:" + tpm.socket
        try:
            case(bench, service, tpm)
        finally:
            service.close()
            tpm.stop()
    return run


def refusal(service):
    try:
        service.start()
    except AssertionError as said:
        return str(said)
    raise AssertionError("it serves")


def set_back(service, kept):
    shutil.rmtree(service.state)
    shutil.copytree(kept, service.state, symlinks=True)


@with_tpm
def case_a_tpm_refuses_what_a_file_anchor_would_accept(bench, service, tpm):
    """The whole state directory is set back, with everything in it: a file anchor beside the database goes along (control)."""
    for anchor, is_refused in ((os.path.join(bench.directory, "cas", "anchor"), False), ("tpm:" + tpm.socket, True)):
        service.anchor = anchor
        service.start()
        assert service.facts["anchor"] == ("tpm" if is_refused else "file"), service.facts
        service.claim()
        service.stop()
        kept = service.state + ".kept"
        shutil.copytree(service.state, kept)
        service.start()
        good(service.run("session", "create", write(bench, "a.yml", TEXT + "name: a\n")))
        service.stop()
        set_back(service, kept)
        if is_refused:
            said = refusal(service)
            assert "older than its tpm anchor" in said and "casemate cas restore" in said, said
        else:
            service.start()
            service.stop()
            for path in (service.state, kept, service.client):
                shutil.rmtree(path)
            service.port = 0
    good(plain(bench.casemate, "cas", "restore", "--accept", "--state", service.state, "--anchor", service.anchor))
    service.start()
    assert service.ask("GET", "/v1/health")[0] == 200


@with_tpm
def case_a_tpm_keeps_its_counter_over_restarts_and_kills(bench, service, tpm):
    service.start()
    service.claim()
    good(service.run("session", "create", write(bench, "a.yml", TEXT + "name: a\n")))
    for kill in (service.stop, service.kill, service.stop):
        kill()
        tpm.stop()
        tpm.start()
        service.start()
        assert service.ask("GET", "/v1/sessions/a")[0] == 200


@with_tpm
def case_another_or_cleared_tpm_is_refused_until_the_owner_accepts(bench, service, tpm):
    service.start()
    service.claim()
    service.stop()
    other = Tpm(bench.directory, "other")
    try:
        for words in ("tpm:" + other.socket, "tpm:" + tpm.socket + "@0180CA5F"):
            service.anchor = words
            said = refusal(service)
            assert "has no counter for this store" in said and "restore --accept" in said, said
        service.anchor = "tpm:" + other.socket
        accepted = plain(bench.casemate, "cas", "restore", "--accept", "--state", service.state, "--anchor", service.anchor)
        assert accepted.returncode == 0 and "epoch" in accepted.stdout, accepted.stderr
        service.start()
        assert service.ask("GET", "/v1/health")[0] == 200
        service.stop()
        # The one before was fenced: its TPM knows an older state.
        service.anchor = "tpm:" + tpm.socket
        assert "anchor" in refusal(service)
    finally:
        other.stop()


@with_tpm
def case_a_tpm_that_is_not_there_or_no_tpm_is_told(bench, service, tpm):
    service.anchor = "tpm:" + os.path.join(bench.directory, "nothing.sock")
    said = refusal(service)
    assert "the TPM at" in said and "No such file" in said, said
    shutil.rmtree(service.state, ignore_errors=True)
    service.anchor = "tpm:/dev/zero"
    said = refusal(service)
    assert "no answer to what was asked" in said, said
