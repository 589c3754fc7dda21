"""Reading, checking, hashing, comparing and explaining sessions."""
import hashlib
import json
import os
import re

import wrong_sessions
from session_bench import HERE, read_text, sample

MEASUREMENT, OTHER = "ab" * 32, "cd" * 32
KEYS = ["11" * 32, "22" * 32, "33" * 32]
VARIABLES = {"DB_MRENCLAVE": MEASUREMENT, "DB_MRENCLAVE_EDMM": OTHER, "PY_MRENCLAVE": MEASUREMENT,
             "OUR_MRSIGNER": OTHER, "PREV": OTHER, "ALICE_PUB": KEYS[0], "BOB_PUB": KEYS[1], "CHECKER_BOT_PUB": KEYS[2]}
SAMPLES = ("clinic-records-db.yml", "clinic.yml", "clinic-triage-inference.yml")
GIVEN = [word for name, value in VARIABLES.items() for word in ("-e", name + "=" + value)]


def case_every_wrong_session_gets_its_exact_messages(bench):
    cases = wrong_sessions.read_table(os.path.join(HERE, "data", "wrong-sessions.txt"))
    assert len(cases) >= 150, "the table has shrunk to %d" % len(cases)
    done, found = wrong_sessions.findings(bench.casemate, bench.directory, cases)
    assert done.returncode == 1, "exit %d" % done.returncode
    wrong = []
    for case, lines in zip(cases, found):
        assert any(": error: " in line for line in case.expected), "%s expects no error" % case.name
        if lines != case.expected:
            wrong.append("%s (line %d)\n  expected %s\n  printed  %s" % (case.name, case.line, case.expected, lines))
    assert not wrong, "%d differ\n%s" % (len(wrong), "\n".join(wrong))


def case_each_wrong_session_is_refused_alone(bench):
    """The table is checked in one call above; here every tenth gets a call and its exit code."""
    for case in wrong_sessions.read_table(os.path.join(HERE, "data", "wrong-sessions.txt"))[::10]:
        bench.write("s.yml", case.text)
        done = bench.session("check", "--literal", "s.yml")
        assert done.code == 1 and "is right" not in done.out, case.name
        assert bench.session("hash", "--literal", "s.yml").code == 1, case.name


def case_sample_sessions_of_the_reference_parse_unchanged(bench):
    for name in SAMPLES:
        done = bench.good("check", sample(name), *GIVEN)
        assert ": error: " not in done.err and "is right" in done.out, done.err


def case_sample_sessions_fit_together(bench):
    done = bench.good("check", sample("clinic-triage-inference.yml"), "--with", sample("clinic.yml"), "--with",
                      sample("clinic-records-db.yml"), *GIVEN)
    assert ": error: " not in done.err, done.err


def case_every_construct_of_scone_parses_and_says_what_differs(bench):
    done = bench.good("check", "--literal", sample("scone-everything.yml"))
    assert ": error: " not in done.err, done.err
    for part in ("`digest` is ignored", "attestation mode `maa` is not done", "measurements of SCONE's runtime never match",
                 "service `old` uses SCONE's file system protection files", "CAS does not generate OpenPGP keys",
                 "CAS does not speak to Azure", "quotes of SCONE's own quoting enclaves", "`persistency` belongs to"):
        assert done.err.count("warning: ") > 10 and part in done.err, "no word of: " + part


def case_every_construct_of_our_version_is_right_without_a_warning(bench):
    done = bench.good("check", "--literal", sample("casemate-1.yml"))
    assert done.err == "", done.err


def case_the_reference_shows_what_is_true(bench):
    page = read_text(os.path.join(HERE, "..", "..", "docs", "formats", "session.md"))
    example = page.split("```yaml\n")[1].split("```")[0]
    bench.write("s.yml", example)
    done = bench.good("check", "--literal", "s.yml")
    assert done.err == "", done.err
    form, digest = re.search(r"Check \(`([^`]*)`\): `([0-9a-f]{64})`", page).groups()
    assert hashlib.sha256(b"casemate session hash v1\0" + form.encode()).hexdigest() == digest
    bench.write("t.yml", "name: s\nversion: casemate-1\n")
    assert bench.hash_of("t.yml") == digest


def case_variables_come_from_words_first_and_then_from_the_environment(bench):
    bench.write("s.yml", "name: $NAME\nversion: casemate-1\n")
    assert "session a is right" in bench.good("check", "s.yml", "-e", "NAME=a").out
    assert "session b is right" in bench.good("check", "s.yml", "--use-env", environment={"NAME": "b"}).out
    assert "session a is right" in bench.good("check", "s.yml", "--use-env", "-e", "NAME=a",
                                              environment={"NAME": "b"}).out
    done = bench.session("check", "s.yml", environment={"NAME": "b"})
    assert done.code == 1 and "s.yml:1:7: error: variable `NAME` has no value" in done.err, done.err


def case_name_option_wins_and_moves_relative_references(bench):
    bench.write("s.yml", "name: a/b\nversion: casemate-1\nsecrets: [{name: k, import: {session: ../c, secret: k}}]\n")
    form = json.loads(bench.good("hash", "--canonical", "s.yml", "--name", "x/y").out)
    assert form["name"] == "x/y" and form["secrets"]["k"]["import"]["session"] == "x/c", form


def case_hash_is_recomputed_from_the_canonical_form(bench):
    for name in SAMPLES:
        form = bench.good("hash", "--canonical", sample(name), *GIVEN).out.rstrip("\n")
        again = json.dumps(json.loads(form), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert again == form, "not canonical: " + name
        digest = hashlib.sha256(b"casemate session hash v1\0" + form.encode()).hexdigest()
        assert digest == bench.good("hash", sample(name), *GIVEN).out.strip(), name


def case_commitments_are_recomputed_from_the_document(bench):
    salt, value = "5f" * 32, "Marker-value-5521"
    bench.write("s.yml", "name: s\nversion: casemate-1\ncommitment_salt: %s\n"
                "secrets: [{name: pw, kind: ascii, value: %s, export: [t]}]\n" % (salt, value))
    form = json.loads(bench.good("hash", "--canonical", "s.yml").out)
    path = b"secrets/pw/value"
    data = (b"casemate secret commitment v1\0" + bytes.fromhex(salt) + len(path).to_bytes(8, "big") + path +
            len(value).to_bytes(8, "big") + value.encode())
    assert form["secrets"]["pw"]["value_commitment"] == hashlib.sha256(data).hexdigest()
    assert form["commitment_salt"] == hashlib.sha256(b"casemate commitment salt v1\0" + bytes.fromhex(salt)).hexdigest()


def case_hashes_of_the_samples_are_stable(bench):
    expected = {
        "clinic-records-db.yml": "4538d72663b4a3080f4895464a70729cd4c09b4217e43e0090a9332d2cdfde53",
        "clinic.yml": "798a0743829975a04cfff76c9f20de5ef59aa206fab7b98cd8536ee8cf43ae5f",
        "clinic-triage-inference.yml": "201d04e35b8bb77435f9563292adc37040753e715ec6db86f0d99920d7a0ee44",
    }
    for name, digest in expected.items():
        assert bench.good("hash", sample(name), *GIVEN).out.strip() == digest, name


def case_no_explicit_value_is_ever_printed(bench):
    marker = "Marker-value-7719"
    text = ("name: s\nversion: casemate-1\nsecrets:\n"
            "  - {name: a, kind: binary, value: %s, size: 3, issuer: zz, migrate: maybe, export: [t]}\n"
            "  - {name: b, kind: ascii, value: \"x$$CASEMATE::%s\"}\n"
            "  - {name: c, kind: private-key, value: %s, import: {session: t, secret: c}}\n" % (marker, marker, marker))
    bench.write("s.yml", text)
    good = ("name: s\nversion: casemate-1\nsecrets: [{name: a, kind: ascii, value: %s, export: [t]}]\n" % marker)
    bench.write("one.yml", good)
    bench.write("two.yml", good.replace(marker, marker + "2"))
    for words in (["check", "s.yml"], ["check", "--json", "s.yml"], ["hash", "s.yml"], ["explain", "one.yml"],
                  ["diff", "one.yml", "two.yml"], ["hash", "--canonical", "one.yml"]):
        done = bench.session(*words)
        assert marker not in done.out + done.err, "%s printed a secret" % words


def case_findings_for_programs_have_places(bench):
    bench.write("s.yml", "name: s\nversion: casemate-1\nsecrest: []\n")
    done = bench.session("check", "--json", "s.yml")
    report = json.loads(done.out)
    assert done.code == 1 and report[0]["errors"] == 1, report
    assert report[0]["findings"][0] == {"severity": "error", "line": 3, "column": 1,
                                        "message": "a session has no key `secrest`",
                                        "advice": "did you mean `secrets`?"}, report


def case_diff_says_what_a_change_allows(bench):
    text = read_text(sample("clinic-records-db.yml"))
    bench.write("old.yml", text)
    new = text.replace("outdated-tcb", "debug-mode").replace("update: [CREATOR]", "update: [ANY]")
    bench.write("new.yml", new.replace("--user=mysql", "--user=root"))
    assert bench.good("diff", "old.yml", "old.yml", *GIVEN).out == ""
    done = bench.session("diff", "old.yml", "new.yml", *GIVEN)
    assert done.code == 1 and done.out.splitlines() == [
        "+ ANY may now create sessions below this one",
        "+ ANY may now change the session",
        "+ \"debug-mode\" is now tolerated in evidence",
        "- CREATOR may no longer create sessions below this one",
        "- CREATOR may no longer change the session",
        "- \"outdated-tcb\" is no longer tolerated in evidence",
        "~ service `mariadb` runs [\"mariadbd\",\"--user=root\",\"--ssl-ca=/tls/ca.crt\",\"--ssl-cert=/tls/srv.crt\","
        "\"--ssl-key=/tls/srv.key\"] instead of [\"mariadbd\",\"--user=mysql\",\"--ssl-ca=/tls/ca.crt\","
        "\"--ssl-cert=/tls/srv.crt\",\"--ssl-key=/tls/srv.key\"]",
    ], done.out


def case_explain_names_everybody_who_can_obtain_a_secret(bench):
    done = bench.good("explain", sample("clinic.yml"), "--secret", "cluster_token", *GIVEN)
    names = [hashlib.sha256(bytes.fromhex("302a300506032b6570032100" + key)).hexdigest()[:16] for key in KEYS]
    assert "every session below `clinic`; such sessions may be created by signer " + names[0] in done.out, done.out
    assert "compared by CAS at every start" in done.out, done.out
    assert "by adding a service or an export: at least 2 of (" in done.out and names[2] in done.out, done.out
    assert bench.session("explain", sample("clinic.yml"), "--secret", "none", *GIVEN).code == 1


def case_wrong_words_are_told_apart_from_wrong_sessions(bench):
    assert bench.session("check").code == 2
    assert bench.session("chek", "s.yml").code == 2
    assert bench.session("check", "missing.yml").code == 125
    assert bench.session("check", sample("clinic.yml"), "-e", "novalue").code == 2
    assert "Usage" in bench.good("--help").out and "--canonical" in bench.good("hash", "--help").out
