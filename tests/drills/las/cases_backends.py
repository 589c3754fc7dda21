"""Back ends on hardware that is not here: a tree of configfs-tsm in user space (fake_tsm.py), and an aesmd that speaks
the protocol (fake_aesmd.py)."""
import hashlib
import os
import socket
import struct
import subprocess
import time

from bench import Evidence, HERE, RESULTS, Skipped, describe, expect_one_line
from cases_input import MAGIC, VERSION, connect, result_of

BACKENDS = {"tdx_guest": ("tdx", 2), "sev_guest": ("snp", 3)}


class Tree:
    def __init__(self, bench, provider, mode="normal"):
        self.path = bench.path("tsm-%s-%s" % (provider, mode))
        os.mkdir(self.path)
        self.process = subprocess.Popen(["/usr/bin/python3", os.path.join(HERE, "fake_tsm.py"), self.path, provider, mode],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while not os.path.ismount(self.path):
            if self.process.poll() is not None:
                raise Skipped("no file systems in user space here: " + self.process.stdout.read().decode()[-300:])
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.path], stderr=subprocess.DEVNULL)
        self.process.terminate()
        self.process.communicate()


def node_part(data):
    nonce, _, size = struct.unpack_from("<32sQI", data)
    quote, rest = data[44:44 + size], data[44 + size:]
    assert struct.unpack_from("<I", rest)[0] == len(rest) - 4
    return nonce, quote, rest[4:]


def report_data(backend, key_id, nonce):
    return hashlib.sha512(b"casemate node key".ljust(32, b"\0") + struct.pack("<II", 1, backend) + key_id + nonce).digest()


def drill_node_quotes_bind_the_services_key(bench):
    for provider, (name, number) in BACKENDS.items():
        with Tree(bench, provider) as tree:
            service = bench.serve("--tsm", tree.path)
            assert "back end " + name in service.announcement, service.announcement
            first, second = (Evidence(bench.ask(service)[1]) for _ in range(2))
            assert first.backend == number and first.node_digest == hashlib.sha256(first.node).digest()
            nonce, quote, auxiliary = node_part(first.node)
            assert nonce == hashlib.sha256(first.nonce_digest).digest()
            assert quote.startswith(b"QUOTE" + provider.encode() + report_data(number, first.key_id, nonce)), quote
            assert auxiliary == (b"CERTIFICATES" if name == "snp" else b"")
            assert first.signature_holds(bench.directory)
            assert second.node == first.node, "a fresh quote is not made for everybody"
            assert os.listdir(tree.path) == [], "requests are left in the tree"
            service.log()


def drill_node_quotes_are_renewed(bench):
    with Tree(bench, "tdx_guest") as tree:
        service = bench.serve("--tsm", tree.path, "--renew", "1")
        first = Evidence(bench.ask(service)[1])
        while Evidence(bench.ask(service, nonce=os.urandom(8).hex())[1]).node == first.node:
            pass


def drill_a_tree_that_is_busy_is_asked_again(bench):
    with Tree(bench, "sev_guest", "busy") as tree:
        result, evidence = bench.ask(bench.serve("--tsm", tree.path))
        assert result.returncode == 0 and node_part(Evidence(evidence).node)[1].startswith(b"QUOTE"), describe(result)


def drill_trees_that_give_no_quote(bench):
    for mode in ("broken", "meddled", "empty"):
        with Tree(bench, "tdx_guest", mode) as tree:
            service = bench.serve("--tsm", tree.path)
            result, evidence = bench.ask(service)
            expect_one_line(result, 125, "no evidence", "no quote")
            assert evidence == b"", evidence
            assert os.listdir(tree.path) == [], "requests are left in the tree"
            assert "back end failed" in service.log()


def drill_hardware_that_is_not_here(bench):
    nowhere = bench.path("no-tree")
    for name in ("tdx", "snp"):
        expect_one_line(bench.call("las", "serve", "--socket", bench.new_name(), "--backend", name, "--tsm", nowhere), 125,
                        name, "no such quotes")
    expect_one_line(bench.call("las", "serve", "--socket", bench.new_name(), "--backend", "sgx", "--aesm", nowhere), 125,
                    "aesmd")
    with Tree(bench, "tdx_guest") as tree:
        result = bench.call("las", "serve", "--socket", bench.new_name(), "--backend", "snp", "--tsm", tree.path)
        expect_one_line(result, 2, "tdx_guest")


def drill_quote_of_the_machine_itself(bench):
    with Tree(bench, "tdx_guest") as tree:
        output = bench.new_file()
        result = bench.call("quote", "get", "--nonce", "0a0b", "--output", output, "--hardware", "--tsm", tree.path)
        assert result.returncode == 0, describe(result)
        with open(output, "rb") as file:
            assert file.read().startswith(b"QUOTEtdx_guest\x0a\x0b" + bytes(62))


class Aesmd:
    def __init__(self, bench, mode):
        self.path = bench.path("aesm-" + mode)
        self.process = subprocess.Popen(["/usr/bin/python3", os.path.join(HERE, "fake_aesmd.py"), self.path, mode],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"listening\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


def target_of(connection):
    connection.send(struct.pack("<QII", MAGIC, VERSION, 3))
    return connection.recv(1 << 16)


def drill_enclave_reports_become_quotes(bench):
    report = bytes(range(216)) * 2
    for mode in ("normal", "restarted"):
        with Aesmd(bench, mode) as daemon:
            service = bench.serve("--backend", "sgx", "--aesm", daemon.path)
            with connect(service) as connection:
                target = target_of(connection)
                assert target[24:] == b"T" * 512, target[:40]
                connection.send(struct.pack("<QII", MAGIC, VERSION, 0) + report)
                assert connection.recv(1 << 16)[24:] == b"QUOTE" + report
            with connect(service) as connection:
                target_of(connection)
                connection.send(struct.pack("<QII", MAGIC, VERSION, 0) + report + b"x")
                assert result_of(connection) == RESULTS["malformed"]
            result, evidence = bench.ask(service)
            expect_one_line(result, 125, "no evidence about processes")
            assert evidence == b"", evidence


def drill_an_aesmd_that_misbehaves(bench):
    for mode in ("refusing", "short", "huge", "other"):
        with Aesmd(bench, mode) as daemon:
            service = bench.serve("--backend", "sgx", "--aesm", daemon.path)
            with connect(service) as connection:
                answer = target_of(connection)
                assert struct.unpack_from("<QII", answer)[2] == RESULTS["back end failed"], (mode, answer)
            assert "back end failed: aesmd" in service.log()


def drill_doctor_shows_the_back_end(bench):
    import json
    result = bench.call("run", "--doctor", "--json")
    findings = {finding["id"]: finding for finding in json.loads(result.stdout)["findings"]}
    for name in ("tee_sgx", "tee_tdx", "tee_snp", "las_backend"):
        assert name in findings, sorted(findings)
    assert findings["las_backend"]["value"] in ("simulation", "tdx", "snp", "sgx"), findings["las_backend"]
