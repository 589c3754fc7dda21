"""Cases of the server: what its clients, its owner, its disk and its host do, with the answers that must come."""
import functools
import hashlib
import json
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import time

import yaml

import verify_log
from cases import Skipped, files_with, read
from service import Service, Writer

TEXT = "version: casemate-1\n"


def with_service(case):
    @functools.wraps(case)
    def run(bench):
        service = Service(bench.directory, bench.casemate)
        try:
            service.start()
            service.claim()
            case(bench, service)
        finally:
            service.close()
    return run


def write(bench, name, text):
    path = os.path.join(bench.directory, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def plain(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def good(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def export_of(bench, service):
    path = os.path.join(bench.directory, "audit%d" % random.getrandbits(40))
    good(service.run("cas", "audit", "-o", path))
    good(bench.log("verify", path, "--log-id", service.log_id))
    good(bench.verify_independently(service.log_id, path))
    return path


def entries_of(path):
    """[(index, fields)] of the disclosed entries of an export."""
    leaves = [line.split() for line in read(path).splitlines() if line.startswith("leaf ")]
    return [(index, verify_log.entry_of(bytes.fromhex(words[3]))) for index, words in enumerate(leaves)
            if len(words) == 4]


@with_service
def case_sessions_are_created_read_updated_listed_and_removed(bench, service):
    first = write(bench, "first.yml", TEXT + "name: shop\nsecrets: [{name: p, kind: ascii, size: 16}]\n")
    receipt = os.path.join(bench.directory, "receipt")
    first_hash = good(service.run("session", "create", first, "-o", receipt))
    good(bench.log("verify", receipt, "--log-id", service.log_id))
    good(bench.verify_independently(service.log_id, receipt))
    assert first_hash == good(plain(bench.casemate, "session", "hash", first))
    second = write(bench, "second.yml", read(first) + "predecessor: %s\nvolumes: [{name: v}]\n" % first_hash)
    second_hash = good(service.run("session", "update", second))
    lost = write(bench, "lost.yml", read(first) + "predecessor: %s\nvolumes: [{name: w}]\n" % first_hash)
    refused = service.run("session", "update", lost)
    assert refused.returncode == 1 and "409" in refused.stderr and second_hash in refused.stderr, refused.stderr
    shown = service.run("session", "read", "shop")
    assert good(shown) == read(second).strip() and second_hash in shown.stderr
    assert good(service.run("session", "list")) == "shop"
    wrong = service.run("session", "delete", "shop", "--hash", first_hash)
    assert wrong.returncode == 1 and "412" in wrong.stderr, wrong.stderr
    good(service.run("session", "delete", "shop", "--hash", second_hash))
    gone = service.run("session", "read", "shop")
    assert gone.returncode == 1 and "404" in gone.stderr, gone.stderr
    changes = [fields[11] for _, fields in entries_of(export_of(bench, service)) if fields[2] == 2]
    assert changes == ["create", "update", "remove"], changes


AUTHORITY = """secrets:
  - {name: key, kind: private-key}
  - {name: hidden, kind: x509-ca, private_key: key, common_name: hidden}
  - {name: ca, kind: x509-ca, private_key: key, common_name: shop-ca, export_public: true}
  - {name: web, kind: x509, private_key: key, issuer: ca, dns: [web.example], export_public: true}
  - {name: given, kind: ascii, value: never-to-be-shown}
"""


@with_service
def case_public_certificates_are_everybodys_and_nothing_else_is(bench, service):
    good(service.run("session", "create", write(bench, "shop.yml", TEXT + "name: a\n")))
    good(service.run("session", "create", write(bench, "below.yml", TEXT + "name: a/shop\n" + AUTHORITY)))
    pem = good(service.run("session", "certificate", "a/shop/ca"))
    shown = plain("openssl", "x509", "-noout", "-subject", "-ext", "basicConstraints", "-in", write(bench, "ca.pem", pem))
    assert "shop-ca" in good(shown) and "CA:TRUE" in shown.stdout, shown.stdout
    stranger = fresh_client(bench, service)
    assert good(service.run("session", "certificate", "a/shop/ca", client=stranger)) == pem, "the same for all"
    chain = good(service.run("session", "certificate", "a/shop/web", "--chain"))
    leaf, issuer = re.findall("-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----", chain, re.S)
    assert issuer == pem, "its issuer is the authority"
    verified = plain("openssl", "verify", "-x509_strict", "-CAfile", write(bench, "ca.pem", pem + "\n"), "-verify_hostname",
                     "web.example", write(bench, "web.pem", leaf + "\n"))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    status, answer, _ = service.ask("GET", "/v1/certificates/a/shop/ca", client="")
    assert status == 200 and answer["certificate"].strip() == pem and "PRIVATE" not in json.dumps(answer), answer
    refused = [service.ask("GET", "/v1/certificates/" + name, client="") for name in (
        "a/shop/hidden", "a/shop/key", "a/shop/given", "a/shop/none", "a/none/ca", "ca", "a/shop/", "/ca")]
    assert {(one[0], one[1]["detail"]) for one in refused} == {(404, "there is no public certificate of this name")}, refused
    service.kill()
    service.start()
    assert good(service.run("session", "certificate", "a/shop/ca")) == pem, "it is durable before it is shown"


@with_service
def case_wrong_sessions_are_refused_with_line_and_column(bench, service):
    status, problem, headers = service.ask("PUT", "/v1/sessions/a", {"text": TEXT + "servces: []\n"})
    assert status == 400 and headers["Content-Type"] == "application/problem+json", (status, headers)
    assert problem["findings"][0]["line"] == 2 and "services" in json.dumps(problem["findings"]), problem
    importing = TEXT + "secrets: [{name: p, import: {session: nowhere, secret: p}}]\n"
    status, problem, _ = service.ask("PUT", "/v1/sessions/a", {"text": importing})
    assert status == 400 and "nowhere" in json.dumps(problem), problem


MALFORMED = (
    ("", 400, "no JSON"), ("{", 400, "no JSON"), ("[]", 400, "object"), ("null", 400, "object"), ('"x"', 400, "object"),
    ("{}", 400, "`text`"), ('{"text": 3}', 400, "text"), ('{"text": "a", "text": "b"}', 400, "twice"),
    ('{"text": "a", "txet": "b"}', 400, "txet"), ('{"text": "a", "decisions": {}}', 400, "decisions"),
    ('{"text": "a", "decisions": [3]}', 400, "decision"), ('{"text": "a", "break_glass": "yes"}', 400, "break_glass"),
    ('{"text": "a", "decisions": [{"decision": "maybe"}]}', 400, "not_after"), (b'{"text": "\xff"}', 400, "no JSON"),
    ('{"text": ' + "[" * 100000 + "]" * 100000 + "}", 400, "nested"), ('{"text": "a"} {"text": "b"}', 400, "no JSON"),
)
STATUSES = (
    ("GET", "/", 404), ("GET", "/v1/nothing", 404), ("POST", "/v1/sessions", 405), ("PUT", "/v1/health", 405),
    ("GET", "/v1/sessions/%zz", 400), ("GET", "/v1/sessions/%00", 400), ("GET", "/v1/sessions?limit=x", 400),
    ("GET", "/v1/sessions?limit=0", 400), ("GET", "/v1/sessions?limit=1&limit=2", 400),
    ("GET", "/v1/sessions/absent", 404), ("DELETE", "/v1/sessions/absent", 400), ("GET", "/v1/proposals/x", 404),
    ("POST", "/v1/proposals/x/apply", 404), ("GET", "/v1/sessions/" + "a/" * 200, 404),
)


@with_service
def case_malformed_requests_get_their_status_and_change_nothing(bench, service):
    head = service.ask("GET", "/v1/log/head")[1]
    for body, status, word in MALFORMED:
        seen = service.ask("PUT", "/v1/sessions/a", body)
        assert seen[0] == status and word in seen[1]["detail"], (body[:60], seen)
    for method, target, status in STATUSES:
        seen = service.ask(method, target)
        assert seen[0] == status, (method, target, seen)
    for bad in ("a//b", "..", "a%20b"):
        seen = service.ask("PUT", "/v1/sessions/" + bad, {"text": TEXT})
        assert seen[0] == 400, (bad, seen)
    too_large = service.ask("PUT", "/v1/sessions/a", {"text": "#" * (1 << 20) + "\n" + TEXT})
    assert too_large[0] == 413, too_large
    assert service.ask("GET", "/v1/log/head")[1].split("\n")[1:3] == head.split("\n")[1:3], "the log grew"


def careless_tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def raw_exchange(service, data):
    """What a client without any manners sends, and the status that it gets (or "")."""
    with careless_tls().wrap_socket(socket.create_connection(("127.0.0.1", service.port), timeout=120)) as connection:
        try:
            connection.sendall(data)
            return connection.recv(4096).decode("latin-1").split("\r\n")[0]
        except (ConnectionError, ssl.SSLError):
            return ""


@with_service
def case_garbage_and_endless_headers_and_bodies_are_answered_and_cut(bench, service):
    for data, wanted in (
            (b"NONSENSE\r\n\r\n", " 400 "), (b"GET / HTTP/9.9\r\n\r\n", " 400 "),
            (b"GET /v1/health HTTP/1.1\r\nX: " + b"a" * 100000 + b"\r\n\r\n", " 431 "),
            (b"PUT /v1/sessions/a HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", " 413 "),
            (b"PUT /v1/sessions/a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", " 400 "),
            (b"PUT /v1/sessions/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", " 400 ")):
        seen = raw_exchange(service, data)
        assert wanted in seen, (data[:40], seen)
    assert service.ask("GET", "/v1/health")[0] == 200


@with_service
def case_clients_that_sit_there_do_not_hinder_others(bench, service):
    sitting = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(400)]
    for connection in sitting[:40]:
        shielded = careless_tls().wrap_socket(connection)
        shielded.sendall(b"PUT /v1/sessions/a HTTP/1.1\r\nContent-Length: 1000\r\n\r\nhalf")
        sitting.append(shielded)
    for number in range(5):
        status, answer, _ = service.ask("PUT", "/v1/sessions/s%d" % number, {"text": TEXT})
        assert status == 201, answer
    for connection in sitting:
        connection.close()


TCP_REPAIR = 19  # a socket that is closed in this state says nothing to its peer


@with_service
def case_half_open_connections_do_not_hinder_others(bench, service):
    try:
        for _ in range(300):
            connection = socket.create_connection(("127.0.0.1", service.port))
            connection.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            connection.close()
    except PermissionError:
        raise Skipped("only root can vanish without a word")
    assert service.ask("PUT", "/v1/sessions/a", {"text": TEXT})[0] == 201
    service.stop()
    service.start()
    assert service.ask("GET", "/v1/sessions/a")[0] == 200


@with_service
def case_strangers_see_and_change_nothing(bench, service):
    stranger = os.path.join(bench.directory, "stranger")
    service.identity(client=stranger)
    assert service.ask("PUT", "/v1/sessions/shop", {"text": TEXT})[0] == 201
    assert service.ask("GET", "/v1/sessions/shop", client="")[0] == 401
    for method, target, body, status in (
            ("GET", "/v1/sessions/shop", None, 404),
            ("PUT", "/v1/sessions/shop", {"text": TEXT + "volumes: [{name: v}]\n"}, 404),
            ("PUT", "/v1/sessions/new", {"text": TEXT}, 403), ("PUT", "/v1/sessions/new", {"text": "wrong"}, 403),
            ("POST", "/v1/proposals/of/shop", {"text": TEXT}, 404), ("GET", "/v1/metrics", None, 403),
            ("POST", "/v1/backups", {"holders": [], "threshold": 1}, 403),
            ("POST", "/v1/claim", {"proof": "0" * 64}, 409)):
        seen = service.ask(method, target, body, client=stranger)
        assert seen[0] == status, (method, target, seen)
    seen = service.ask("DELETE", "/v1/sessions/shop", client=stranger, headers={"If-Match": "0" * 64})
    assert seen[0] == 404, seen
    assert service.ask("GET", "/v1/sessions", client=stranger)[1] == {"sessions": []}
    hidden = service.ask("GET", "/v1/log/export", client=stranger)[1]
    assert b"shop".hex() not in hidden and b"shop".hex() in service.ask("GET", "/v1/log/export")[1]
    old = careless_tls()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        old.wrap_socket(socket.create_connection(("127.0.0.1", service.port)))
        raise AssertionError("TLS 1.2 was accepted")
    except ssl.SSLError:
        pass


def case_only_who_knows_the_token_claims_and_only_once(bench):
    service = Service(bench.directory, bench.casemate)
    try:
        service.start()
        guess = write(bench, "guess", "0" * 64 + "\n")
        os.chmod(guess, 0o600)
        refused = service.run("cas", "claim", service.address, "--token-file", guess)
        assert refused.returncode == 1 and "claim token" in refused.stderr, refused.stderr
        before = service.ask("PUT", "/v1/sessions/a", {"text": TEXT})
        assert before[0] == 403 and "no owner" in before[1]["detail"], before
        token = os.path.join(bench.directory, "token")
        shutil.copy(os.path.join(service.state, "claim-token"), token)
        service.claim()
        assert not os.path.exists(os.path.join(service.state, "claim-token"))
        other = os.path.join(bench.directory, "other")
        refused = service.run("cas", "claim", service.address, "--token-file", token, client=other)
        assert refused.returncode == 1 and "another owner" in refused.stderr, refused.stderr
        service.stop()
        service.start()
        assert json.loads(good(service.run("cas", "status", "--json")))["owner"] == service.identity()
    finally:
        service.close()


@with_service
def case_a_client_refuses_another_server_at_the_same_address(bench, service):
    service.stop()
    os.rename(service.state, service.state + ".away")
    os.remove(service.anchor)
    service.start()
    refused = service.run("session", "list")
    assert refused.returncode == 1 and "another CAS" in refused.stderr, refused.stderr


# ---- approvals ------------------------------------------------------------------------------------------------------


class Signer:
    def __init__(self, bench, name):
        self.path = os.path.join(bench.directory, name + ".pem")
        good(plain("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.path))
        public = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"], check=True,
                                capture_output=True).stdout
        self.raw, self.key_hash = public[-32:], hashlib.sha256(public).hexdigest()

    def sign(self, bench, service, new, stored, *more, until="2099-01-01T00:00:00Z"):
        out = os.path.join(bench.directory, "signature%d" % random.getrandbits(40))
        good(plain(bench.casemate, "session", "sign", new, "--stored", stored, "--key", self.path, "--log-id",
                   service.log_id, "--not-after", until, "-o", out, *more))
        return out


def signed_bytes(log_id, session, digest, predecessor, not_after):
    """As docs/formats/session.md, "Approvals", says."""
    name = session.encode()
    return (b"casemate session approval v1\0" + bytes.fromhex(log_id) + len(name).to_bytes(4, "big") + name + digest +
            b"\1" + predecessor + not_after.to_bytes(8, "big"))


@with_service
def case_expired_and_replayed_signatures_change_nothing(bench, service):
    anna = Signer(bench, "anna")
    guarded = TEXT + "name: vault\naccess_policy: {read: [CREATOR], update: [{signer: %s}]}\n" % anna.raw.hex()
    stored = write(bench, "stored.yml", guarded)
    first = good(service.run("session", "create", stored))
    new = write(bench, "new.yml", guarded + "predecessor: %s\nvolumes: [{name: v}]\n" % first)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    late = anna.sign(bench, service, new, stored, until=soon)
    while time.time() < time.mktime(time.strptime(soon, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone + 2:
        time.sleep(0.1)
    expired = service.run("session", "update", new, late)
    assert expired.returncode == 1 and first in service.run("session", "read", "vault").stderr, expired
    fresh = anna.sign(bench, service, new, stored)
    second = good(service.run("session", "update", new, fresh))
    # Back to the first version's contents with the signature of the change that led away from them, and forwards again.
    back = write(bench, "back.yml", guarded + "predecessor: %s\n" % second)
    for file in (late, fresh):
        replayed = service.run("session", "update", back, file)
        assert replayed.returncode == 1 and second in service.run("session", "read", "vault").stderr, replayed
    good(service.run("session", "update", back, anna.sign(bench, service, back, new)))


@with_service
def case_a_change_with_two_of_three_approvers_and_a_veto_is_proved_by_the_log(bench, service):
    anna, ben, cleo, dora = (Signer(bench, name) for name in ("anna", "ben", "cleo", "dora"))
    rule = "{at_least: 2, of: [%s], veto: [{signer: %s}]}" % (
        ", ".join("{signer: %s}" % one.raw.hex() for one in (anna, ben, cleo)), dora.raw.hex())
    guarded = TEXT + "name: vault\naccess_policy: {read: [CREATOR], update: [%s]}\n" % rule
    stored = write(bench, "stored.yml", guarded)
    first = good(service.run("session", "create", stored))
    # One that dora objects to: two approvals do not help.
    bad = write(bench, "bad.yml", guarded + "predecessor: %s\nvolumes: [{name: bad}]\n" % first)
    alone = service.run("session", "update", bad)
    assert alone.returncode == 1 and "403" in alone.stderr and "casemate session propose" in alone.stderr, alone.stderr
    assert "missing" in good(service.run("session", "propose", bad))
    good(service.run("session", "approve", anna.sign(bench, service, bad, stored)))
    assert "vetoed" in good(service.run("session", "approve", dora.sign(bench, service, bad, stored, "--reject")))
    assert "vetoed" in good(service.run("session", "approve", ben.sign(bench, service, bad, stored)))
    assert first in service.run("session", "read", "vault").stderr
    # One that nobody objects to.
    new = write(bench, "new.yml", guarded + "predecessor: %s\nvolumes: [{name: good}]\n" % first)
    good(service.run("session", "propose", new))
    assert "missing" in good(service.run("session", "approve", ben.sign(bench, service, new, stored)))
    assert "missing" in good(service.run("session", "approve", ben.sign(bench, service, new, stored)))
    signature = cleo.sign(bench, service, new, stored)
    done = good(service.run("session", "approve", signature))
    second = good(plain(bench.casemate, "session", "hash", new))
    assert done.splitlines()[-1] == second and second in service.run("session", "read", "vault").stderr
    replayed = service.run("session", "approve", signature)
    assert replayed.returncode == 1, replayed.stdout
    # Offline: the log alone, the keys in the text, and the documents.
    entry = [fields for _, fields in entries_of(export_of(bench, service)) if fields[2] == 2][-1]
    assert entry[10] == "vault" and entry[13].hex() == second and entry[14].hex() == first, entry
    approvers = set()
    for approval in entry[16]:
        signer = {one.key_hash: one for one in (anna, ben, cleo, dora)}[approval[1].hex()]
        message = signed_bytes(service.log_id, "vault", entry[13], entry[14], approval[3] // 1000)
        verify_log.check_signature(signer.raw, message, approval[4], "approval")
        approvers.add(signer.key_hash)
        assert approval[2] == "approve"
    assert approvers == {ben.key_hash, cleo.key_hash}


# ---- kills, disks, rollback -----------------------------------------------------------------------------------------


@with_service
def case_the_server_killed_under_load_loses_nothing_acknowledged(bench, service):
    kills = int(os.environ.get("CASEMATE_CAS_SERVER_KILLS", "8"))
    writers = [Writer(service, "w%d" % number) for number in range(6)]
    for writer in writers:
        writer.start()
    for _ in range(kills):
        time.sleep(random.uniform(0.02, 0.4))
        service.kill()
        service.start()
    time.sleep(0.3)
    for writer in writers:
        writer.ends = True
    for writer in writers:
        writer.join()
        assert writer.failure is None, writer.failure
    logged = {}
    for _, fields in entries_of(export_of(bench, service)):
        if fields[2] == 2:
            logged.setdefault(fields[10], []).append((fields[12], fields[13].hex()))
    total = 0
    for writer in writers:
        versions = [(version, digest) for version, digest, _ in writer.acknowledged]
        total += len(versions)
        # At most one change beyond what was acknowledged: the one whose answer was lost at the end.
        assert logged[writer.name][:len(versions)] == versions and len(logged[writer.name]) <= len(versions) + 1
        session = service.ask("GET", "/v1/sessions/" + writer.name)[1]
        assert (session["version"], session["hash"]) == logged[writer.name][-1]
    assert total > kills, "only %d changes were acknowledged" % total
    assert sum(writer.reconnected for writer in writers) > 0
    print("server killed %d times: %d acknowledged changes, none lost" % (kills, total), flush=True)


@with_service
def case_a_stop_under_load_finishes_what_it_took(bench, service):
    writers = [Writer(service, "w%d" % number) for number in range(4)]
    for writer in writers:
        writer.start()
    time.sleep(0.5)
    service.stop()
    for writer in writers:
        writer.ends = True
        writer.join()
        assert writer.failure is None, writer.failure
    service.start()
    for writer in writers:
        version = writer.acknowledged[-1][0]
        assert service.ask("GET", "/v1/sessions/" + writer.name)[1]["version"] in (version, version + 1)


@with_service
def case_a_rolled_back_database_is_not_served_but_told_what_to_do(bench, service):
    service.stop()
    store = os.path.join(service.state, "store")
    shutil.copytree(store, store + ".old")
    service.start()
    good(service.run("session", "create", write(bench, "a.yml", TEXT + "name: a\n")))
    service.stop()
    shutil.rmtree(store)
    shutil.copytree(store + ".old", store)
    said = ""
    try:
        service.start()
    except AssertionError as refusal:
        said = str(refusal)
    assert "older than its file anchor" in said and "casemate cas restore" in said, said or "it served an old database"
    accepted = plain(bench.casemate, "cas", "restore", "--accept", "--state", service.state, "--anchor", service.anchor)
    assert accepted.returncode == 0 and "epoch" in accepted.stdout, accepted.stderr
    service.start()
    # The client kept a newer head than this epoch continues, and must be told.
    refused = service.run("session", "list")
    assert refused.returncode == 1 and "does not continue" in refused.stderr, refused.stderr


@with_service
def case_a_rollback_with_its_anchor_is_noticed_by_clients(bench, service):
    service.stop()
    store = os.path.join(service.state, "store")
    shutil.copytree(store, store + ".old")
    shutil.copy(service.anchor, service.anchor + ".old")
    service.start()
    good(service.run("session", "create", write(bench, "a.yml", TEXT + "name: a\n")))
    service.stop()
    shutil.rmtree(store)
    shutil.copytree(store + ".old", store)
    shutil.copy(service.anchor + ".old", service.anchor)
    service.start()
    refused = service.run("session", "list")
    assert refused.returncode == 1 and "rolled back" in refused.stderr, refused.stderr
    # From then on nobody is served.
    assert service.ask("GET", "/v1/health")[0] == 503
    status, problem, _ = service.ask("PUT", "/v1/sessions/b", {"text": TEXT})
    assert status == 503 and "restore" in problem["advice"], problem


def case_a_full_disk_refuses_the_servers_changes_and_keeps_serving(bench):
    if os.geteuid() != 0:
        raise Skipped("mounting a small file system needs root")
    script = 'mkdir -m 700 "$1" && mount -t tmpfs -o size=4m,mode=700 none "$1" && shift && exec "$@"'
    service = Service(bench.directory, bench.casemate)
    service.prefix = ("unshare", "--mount", "/bin/sh", "-c", script, "sh", service.state)
    try:
        try:
            service.start()
        except AssertionError as reason:
            if "unshare" in str(reason) or "mount" in str(reason):
                raise Skipped(str(reason))
            raise
        token = os.path.join(bench.directory, "token")
        shutil.copy("/proc/%d/root%s/claim-token" % (service.process.pid, service.state), token)
        os.chmod(token, 0o600)
        good(service.run("cas", "claim", service.address, "--token-file", token))
        big, statuses = TEXT + "".join("# %s\n" % ("x" * 98) for _ in range(3000)), []
        while not statuses or (statuses[-1] == 201 and len(statuses) < 40):
            status, answer, _ = service.ask("PUT", "/v1/sessions/s%d" % len(statuses), {"text": big})
            statuses.append(status)
        assert statuses[-1] == 507 and "full" in answer["detail"], (statuses, answer)
        assert service.ask("GET", "/v1/sessions/s%d" % (len(statuses) - 1))[0] == 404
        assert service.ask("GET", "/v1/sessions/s0")[0] == 200
        assert service.ask("GET", "/v1/health")[0] == 200
    finally:
        service.close()


# ---- backup, secrets, the document ----------------------------------------------------------------------------------


def fresh_client(bench, service):
    """The same key without the heads that it kept: what a client does after a restore that it was told of."""
    folder = os.path.join(bench.directory, "fresh")
    shutil.copytree(service.client, folder)
    os.remove(os.path.join(folder, "known-cas.json"))
    service.trust_as(folder)
    return folder


@with_service
def case_a_backup_is_restored_by_some_of_its_holders_in_a_new_epoch(bench, service):
    good(service.run("session", "create", write(bench, "a.yml", TEXT + "name: a\n")))
    keys, holders = [], []
    for number in range(3):
        keys.append(os.path.join(bench.directory, "holder%d" % number))
        holders += ["--holder", good(plain(bench.casemate, "cas", "share-key", keys[-1]))]
    path = good(service.run("cas", "backup", *holders, "--threshold", "2"))
    epoch = json.loads(good(service.run("cas", "status", "--json")))["epoch"]
    service.stop()
    shutil.copy(path, bench.directory + "/backup")
    shutil.rmtree(service.state)
    words = [bench.casemate, "cas", "restore", "--state", service.state, "--anchor", service.anchor, "--from",
             bench.directory + "/backup", "--holder-key", keys[0]]
    refused = plain(*words)
    assert refused.returncode == 2 and "needs 2 of its 3" in refused.stderr, refused.stderr
    good(plain(*words, "--holder-key", keys[2]))
    service.start()
    status = service.run("cas", "status", "--json", client=fresh_client(bench, service))
    assert json.loads(good(status))["epoch"] == epoch + 1, status.stdout
    assert service.ask("GET", "/v1/sessions/a")[0] == 200


@with_service
def case_no_secret_of_a_session_is_in_files_logs_arguments_or_environment(bench, service):
    marker = "MARKER-%032x" % random.getrandbits(128)
    text = TEXT + "secrets: [{name: p, kind: ascii, value: '%s'}]\n" % marker
    status, problem, _ = service.ask("PUT", "/v1/sessions/shop", {"text": text + "servces: []\n"})
    assert status == 400 and marker not in json.dumps(problem), problem
    status, answer, _ = service.ask("PUT", "/v1/sessions/shop", {"text": text})
    assert status == 201 and marker not in json.dumps(answer), answer
    for name, wanted in (("cmdline", None), ("environ", b"")):
        with open("/proc/%d/%s" % (service.process.pid, name), "rb") as file:
            seen = file.read()
        assert marker.encode() not in seen and (wanted is None or seen == wanted), seen
    holders = [good(plain(bench.casemate, "cas", "share-key", os.path.join(bench.directory, "holder%d" % i))) for i in (0, 1)]
    backup = good(service.run("cas", "backup", "--holder", holders[0], "--holder", holders[1], "--threshold", "2"))
    assert os.path.getsize(backup) > 1000 and backup.startswith(bench.directory), "files_with() below looks into it, too"
    service.stop()
    said = "".join(service.events)
    assert "request" in said and marker not in said, said
    assert files_with(bench.directory, marker.encode()) == []
    service.start()
    assert marker in service.ask("GET", "/v1/sessions/shop")[1]["text"]


class Schemas:
    """As much of OpenAPI's schemas as docs/formats/cas-api.yaml uses."""

    def __init__(self, text):
        self.document = yaml.safe_load(text)

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for part in node["$ref"][2:].split("/"):
                target = target[part]
            node = target
        return node

    def check(self, schema, value, where):
        schema = self.resolve(schema)
        if value is None:
            assert schema.get("nullable"), "%s is null" % where
            return
        kind = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}[schema["type"]]
        assert isinstance(value, kind) and (kind is not int or not isinstance(value, bool)), "%s: %r" % (where, value)
        assert "enum" not in schema or value in schema["enum"], "%s: %r" % (where, value)
        assert "pattern" not in schema or re.search(schema["pattern"], value), "%s: %r" % (where, value)
        if kind is list:
            for number, item in enumerate(value):
                self.check(schema["items"], item, "%s[%d]" % (where, number))
        if kind is dict:
            missing = set(schema.get("required", ())) - set(value)
            unknown = set(value) - set(schema["properties"])
            assert not missing and not unknown, "%s: lacks %s, has %s" % (where, missing, unknown)
            for key, item in value.items():
                self.check(schema["properties"][key], item, "%s.%s" % (where, key))

    def check_answer(self, method, path, status, content_type, body):
        responses = self.document["paths"][path][method.lower()]["responses"]
        response = self.resolve(responses.get(str(status), responses.get("default")))
        content = next(iter(response["content"].items()))
        if "json" in content[0]:
            assert content_type.startswith(content[0]), (path, status, content_type)
            self.check(content[1]["schema"], body, "%s %s %d" % (method, path, status))


@with_service
def case_answers_are_what_the_document_says(bench, service):
    schemas = Schemas(service.ask("GET", "/v1/openapi")[1])
    seen = set()

    def check(method, path, target=None, body=None, client=None, headers=None):
        status, answer, fields = service.ask(method, target or path, body, client, headers)
        schemas.check_answer(method, path, status, fields["Content-Type"], answer)
        seen.add((method, path))
        return answer

    named, identified = "/v1/sessions/{name}", "/v1/proposals/{id}"
    for path in ("/v1/health", "/v1/metrics", "/v1/openapi", "/v1/status", "/v1/sessions", "/v1/log/head",
                 "/v1/log/export"):
        check("GET", path)
    first = check("PUT", named, "/v1/sessions/a", {"text": TEXT})["hash"]
    check("PUT", named, "/v1/sessions/a", {"text": TEXT})
    check("PUT", named, "/v1/sessions/a", {"text": TEXT + "volumes: [{name: v}]\n"})
    check("PUT", named, "/v1/sessions/a", {"text": "x"})
    check("PUT", named, "/v1/sessions/a", {"text": TEXT}, client="")
    check("GET", named, "/v1/sessions/a")
    check("GET", named, "/v1/sessions/b")
    signer = Signer(bench, "signer")
    guarded = TEXT + "access_policy: {read: [CREATOR], update: [{signer: %s}]}\n" % signer.raw.hex()
    stored = check("PUT", named, "/v1/sessions/g", {"text": guarded})["hash"]
    new = guarded + "predecessor: %s\nvolumes: [{name: v}]\n" % stored
    proposal = check("POST", "/v1/proposals/of/{name}", "/v1/proposals/of/g", {"text": new})["id"]
    check("GET", "/v1/proposals")
    check("GET", identified, "/v1/proposals/" + proposal)
    check("POST", identified + "/apply", "/v1/proposals/%s/apply" % proposal)
    files = [write(bench, "n.yml", "name: g\n" + new), write(bench, "s.yml", "name: g\n" + guarded)]
    decision = json.loads(read(signer.sign(bench, service, *files)))
    check("POST", identified + "/decisions", "/v1/proposals/%s/decisions" % proposal, decision)
    again = guarded + "predecessor: %s\nvolumes: [{name: w}]\n" % proposal
    other = check("POST", "/v1/proposals/of/{name}", "/v1/proposals/of/g", {"text": again})["id"]
    check("DELETE", identified, "/v1/proposals/" + other)
    check("POST", "/v1/log/consistency", None, {"head": service.ask("GET", "/v1/log/head")[1]})
    check("POST", "/v1/log/consistency", None, {"head": "x"})
    check("POST", "/v1/claim", None, {"proof": "0" * 64})
    check("POST", "/v1/backups", None, {"holders": ["00"], "threshold": 2})
    check("GET", "/v1/refusals/{id}", "/v1/refusals/0123456789abcdef")
    check("PUT", named, "/v1/sessions/p", {"text": TEXT + AUTHORITY})
    check("GET", "/v1/certificates/{name}", "/v1/certificates/p/ca", client="")
    check("GET", "/v1/certificates/{name}", "/v1/certificates/p/key", client="")
    check("DELETE", named, "/v1/sessions/a", headers={"If-Match": '"%s"' % first})
    every = {(method.upper(), path) for path, item in schemas.document["paths"].items() for method in item
             if method != "parameters"}
    assert every == seen, every - seen


ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What would let a shipped program believe evidence that nobody's hardware gave, and the only files that may have it.
HOOKS = (
    (r'#include ".*/testing/', ()),
    (r"anchors_of_single_root", ("src/attest/trust_anchors.cc", "src/attest/trust_anchors.h",
                                 "apps/casemate/quote/quote_command.cc", "apps/casemate/quote/collateral_command.cc")),
    (r"basis_?(\.|->)anchors *=|EvidenceBasis[({]|EvidenceBasis \w+ *[({]", ()),
)
READS_NO_VARIABLE = ("src/cas/", "src/attest/", "src/evidence/", "src/keeper/provision/", "apps/casemate-keeper/")


def shipped_sources():
    for top in ("src", "apps"):
        for directory, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                path = os.path.relpath(os.path.join(directory, name), ROOT)
                if name.endswith((".cc", ".h")) and not name.endswith("_test.cc") and "/testing/" not in path:
                    yield path


def case_nothing_that_ships_has_a_hook_for_evidence(bench):
    found = []
    for path in shipped_sources():
        text = read(os.path.join(ROOT, path))
        found += [(path, hook) for hook, allowed in HOOKS if path not in allowed and re.search(hook, text)]
        if path.startswith(READS_NO_VARIABLE) and re.search(r"\bgetenv\b", text):
            found.append((path, "getenv"))
    assert not found, found
    for name in ("casemate", "casemate-keeper", "casemate-runtime"):
        with open(os.path.join(os.path.dirname(bench.casemate), name), "rb") as file:
            assert b"6attest7testing" not in file.read(), "%s has throw-away evidence" % name


@with_service
def case_the_command_line_of_clients_says_what_is_wrong(bench, service):
    other = os.path.join(bench.directory, "other")
    for words, client, code, text in (
            (["session", "list"], other, 1, "casemate identity"), (["cas", "status", "nonsense"], None, 2, "IP:PORT"),
            (["session", "read", "absent"], None, 1, "404"),
            (["session", "list", "--cas", "127.0.0.1:1"], None, 1, "trust"),
            (["session", "create", "/nonexistent"], None, 125, "/nonexistent"),
            (["cas", "trust", service.address, "--server-key", "x", "--log-id", "y"], None, 2, "64 hex")):
        done = service.run(*words, client=client)
        assert done.returncode == code and text in done.stderr, (words, done.returncode, done.stderr)
    for words, text in (["cas"], "subcommand"), (["cas", "restore", "--state", other], "--from"):
        done = plain(bench.casemate, *words)
        assert done.returncode == 2 and text in done.stderr, (words, done.returncode, done.stderr)
    os.chmod(os.path.join(service.client, "client-key.pem"), 0o644)
    loose = service.run("session", "list")
    assert loose.returncode == 2 and "chmod 600" in loose.stderr, loose.stderr
