"""Changes that need several people: signed offline, judged by the stored version's rule."""
import os

from session_bench import key_hash, read_json, read_text

LOG, OTHER_LOG = "e1" * 32, "e2" * 32
UNTIL = "2030-01-01T00:00:00Z"

TEXT = """name: clinic
version: casemate-1
predecessor: {predecessor}
access_policy:
  update:
    - at_least: 2
      of: [{{signer: {alice}}}, {{signer: {bob}}}, {{signer: {carol}}}]
      veto: [{{signer: {carol}}}]
      time_lock: 1h
secrets: [{{name: token, kind: ascii, size: {size}, migrate: true, export: [{{namespace: clinic}}]}}]
"""


class Board:
    """Three approvers; a stored version; a change of it."""

    def __init__(self, bench, **change):
        self.bench = bench
        self.keys = {name: bench.make_key(name) for name in ("alice", "bob", "carol", "mallory")}
        self.write("stored.yml", predecessor="~", size=32)
        values = {"predecessor": bench.hash_of("stored.yml"), "size": 32, **change}
        self.write("new.yml", **values)

    def write(self, name, **values):
        text = TEXT.format(**{key: value for key, value in self.keys.items() if key != "mallory"}, **values)
        if name == "new.yml":
            text = text.replace("export: [{namespace: clinic}]", "export: [{namespace: clinic}, {session: shop}]")
        self.bench.write(name, text)

    def sign(self, who, *words, log=LOG, until=UNTIL, new="new.yml"):
        self.bench.good("sign", new, "--stored", "stored.yml", "--key", who + ".pem", "--log-id", log, "--not-after",
                        until, "-o", who + ".json", *words)
        return who + ".json"

    def verify(self, *files, now="2026-12-01T02:00:00Z", proposed="2026-12-01T00:00:00Z", log=LOG, new="new.yml"):
        return self.bench.session("verify-approval", new, *files, "--stored", "stored.yml", "--log-id", log, "--now",
                                  now, "--proposed-at", proposed)


def verdict(done):
    return done.out.splitlines()[-1], done.code


def case_two_of_three_carry_a_change(bench):
    board = Board(bench)
    alice, bob = board.sign("alice"), board.sign("bob")
    assert verdict(board.verify(alice)) == ("missing approvals", 1)
    assert verdict(board.verify(alice, bob)) == ("granted", 0)


def case_the_signer_sees_what_the_change_allows(bench):
    board = Board(bench)
    done = bench.good("sign", "new.yml", "--stored", "stored.yml", "--key", "alice.pem", "--log-id", LOG, "--not-after",
                      UNTIL)
    assert "+ secret `token` may now be imported by session shop" in done.err, done.err


def case_an_objection_of_the_veto_member_blocks(bench):
    board = Board(bench)
    files = [board.sign("alice"), board.sign("bob"), board.sign("carol", "--reject")]
    assert verdict(board.verify(*files)) == ("vetoed", 1)
    assert verdict(board.verify(*files[:2])) == ("granted", 0)


def case_the_time_lock_counts_from_the_proposal(bench):
    board = Board(bench)
    files = [board.sign("alice"), board.sign("bob")]
    early = board.verify(*files, now="2026-12-01T00:59:59Z")
    assert verdict(early) == ("waiting", 1) and "the time lock ends at 2026-12-01T01:00:00Z" in early.out, early.out
    assert verdict(board.verify(*files, now="2026-12-01T01:00:00Z")) == ("granted", 0)


def case_signatures_of_strangers_and_copies_do_not_count(bench):
    board = Board(bench)
    files = [board.sign("alice"), board.sign("mallory")]
    assert verdict(board.verify(*files)) == ("missing approvals", 1)
    assert verdict(board.verify(files[0], files[0])) == ("missing approvals", 1)


def case_expired_signatures_do_not_count(bench):
    board = Board(bench)
    files = [board.sign("alice", until="2026-12-01T01:30:00Z"), board.sign("bob")]
    done = board.verify(*files)
    assert verdict(done) == ("missing approvals", 1) and "it expired at 2026-12-01T01:30:00Z" in done.out, done.out


def case_signatures_count_for_their_log_and_their_text_only(bench):
    board = Board(bench)
    files = [board.sign("alice"), board.sign("bob")]
    assert verdict(board.verify(*files, log=OTHER_LOG)) == ("missing approvals", 1)
    text = read_text(bench.path("new.yml"))
    bench.write("other.yml", text.replace("session: shop", "session: shopp"))
    assert verdict(board.verify(*files, new="other.yml")) == ("missing approvals", 1)


def case_a_changed_signature_file_does_not_count(bench):
    board = Board(bench)
    files = [board.sign("alice"), board.sign("bob")]
    text = read_text(bench.path(files[1]))
    bench.write("longer.json", text.replace("2030-01-01", "2031-01-01"))
    assert verdict(board.verify(files[0], "longer.json")) == ("missing approvals", 1)
    bench.write("broken.json", text[:50])
    assert board.verify(files[0], "broken.json").code == 1
    assert "no signature" in board.verify(files[0], "broken.json").err


def case_a_lost_update_is_refused_before_signatures_are_looked_at(bench):
    board = Board(bench, predecessor="ab" * 32)
    done = bench.session("sign", "new.yml", "--stored", "stored.yml", "--key", "alice.pem", "--log-id", LOG,
                         "--not-after", UNTIL)
    assert done.code == 1 and "somebody changed it meanwhile" in done.err, done.err
    assert board.verify().code == 1


def case_the_shape_of_a_surviving_secret_cannot_change(bench):
    board = Board(bench, size=64)
    assert board.verify().code == 1
    assert "survives the update, but its kind, size or key type changes" in board.verify().err


def case_an_update_is_not_signed_without_the_stored_version(bench):
    Board(bench)
    done = bench.session("sign", "new.yml", "--key", "alice.pem", "--log-id", LOG, "--not-after", UNTIL)
    assert done.code == 2 and "--stored" in done.err, done.err


def case_elliptic_curve_keys_sign_and_rsa_keys_do_not(bench):
    Board(bench)
    bench.make_key("p256", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    bench.make_key("rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    words = ["new.yml", "--stored", "stored.yml", "--log-id", LOG, "--not-after", UNTIL]
    bench.good("sign", *words, "--key", "p256.pem")
    done = bench.session("sign", *words, "--key", "rsa.pem")
    assert done.code == 2 and "Ed25519 or ECDSA" in done.err, done.err


def case_show_key_prints_what_access_rules_name(bench):
    public = bench.make_key("alice")
    done = bench.good("sign", "--show-key", "--key", "alice.pem")
    assert "key hash: " + key_hash(public) in done.out and "BEGIN PUBLIC KEY" in done.out, done.out


def case_the_private_key_stays_out_of_the_signature(bench):
    board = Board(bench)
    report = read_json(bench.path(board.sign("alice")))
    assert sorted(report) == ["decision", "format", "hash", "log_id", "not_after", "predecessor", "session", "signature",
                              "signer"], report
    assert report["hash"] == bench.hash_of("new.yml") and report["predecessor"] == bench.hash_of("stored.yml")
    assert os.path.getsize(bench.path("alice.json")) < 2000
