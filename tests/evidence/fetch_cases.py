"""Collateral from the network: a fake service gives that of throw-away roots (always) and of published vectors."""
import base64
import json
import os
import socket
import subprocess

from fake_service import CRL, DER, PEM, Answer, FakeService, pcs_answers
from harness import SAMPLES, casemate, expect, need, read, verify

QUOTES = ("SgxV3", "SgxV4", "SgxV5", "TdxV4", "Tdx10V5", "Tdx15V5")
FMSPC = "222222222222"


class Sample:
    """One directory of evidence_samples, and the words that verify it."""

    def __init__(self, directory, kind):
        assert os.path.exists(SAMPLES), SAMPLES + " is not built"
        if not os.path.exists(directory + "/samples/now"):
            subprocess.run([SAMPLES, directory + "/samples"], check=True)
        self.path, self.cache, self.kind = directory + "/samples/" + kind, directory + "/cache-" + kind, kind
        self.evidence = self.path + ("/report.bin" if kind.startswith("Snp") else "/quote.bin")
        self.now = read(directory + "/samples/now").decode()
        self.words = ["--root", self.path + "/root.der", "--time", self.now]

    def fetch(self, service, *more, **options):
        return casemate("quote", "collateral", "fetch", "--cache", self.cache, "--for", self.evidence, *service.words(),
                        *self.words, *more, **options)

    def verdict(self, *more):
        return verify(self.evidence, *self.words, *more)[1]["verdict"]

    def pcs_answers(self):
        return pcs_answers(json.loads(read(self.path + "/collateral.json")), self.kind[:3].lower(), FMSPC, "platform")


def pem(der):
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[i:i + 64] for i in range(0, len(text), 64))
    return "-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n" % lines


def kds_answers(sample, key, product, leaf_path):
    folder = "/%s/v1/%s/" % (key, product)
    answers = {folder + "cert_chain": Answer("".join(pem(read(sample.path + name)) for name in ("/ask.der", "/ark.der")),
                                             PEM),
               folder + "crl": Answer(read(sample.path + "/crl.der"), DER)}
    if leaf_path:
        answers[folder + leaf_path] = Answer(read(sample.path + "/leaf.der"), DER)
    return answers


def leaf_path(sample, is_turin=False):
    """The request for a VCEK, from the report's bytes: CHIP_ID at 416, REPORTED_TCB at 384."""
    report = read(sample.evidence)
    tcb = report[384:392]
    places = [("fmc", 0), ("bl", 1), ("tee", 2), ("snp", 3), ("ucode", 7)] if is_turin else \
        [("bl", 0), ("tee", 1), ("snp", 6), ("ucode", 7)]
    chip = report[416:416 + (8 if is_turin else 64)].hex()
    return chip + "?" + "&".join("%sSPL=%02d" % (name, tcb[place]) for name, place in places)


def case_fetches_collateral_of_every_kind_of_quote(directory):
    with FakeService(directory) as service:
        for kind in QUOTES:
            sample = Sample(directory, kind)
            expect("verdict without it", sample.verdict(), "static-ok")
            service.answers = sample.pcs_answers()
            done = sample.fetch(service)
            expect("fetch of " + kind, (done.returncode, done.stderr), (0, ""))
            assert done.stdout.startswith("fetched; good until 20"), done.stdout
            expect("verdict of " + kind, sample.verdict("--cache", sample.cache), "UpToDate")
            expect("what was asked for", sorted(set(service.requests)), sorted(service.answers))
            service.requests.clear()


def case_fetches_certificates_of_snp_reports(directory):
    with FakeService(directory) as service:
        for kind, key, product, words in (("SnpMilan", "vcek", "Milan", []), ("SnpTurin", "vcek", "Turin", []),
                                          ("SnpMilanV2", "vcek", "Milan", ["--product", "Milan"]),
                                          ("SnpVlek", "vlek", "Genoa", ["LEAF"])):
            sample = Sample(directory, kind)
            words = [sample.path + "/leaf.der" if word == "LEAF" else word for word in words]
            service.answers = kds_answers(sample, key, product,
                                          leaf_path(sample, product == "Turin") if key == "vcek" else None)
            service.requests.clear()
            done = sample.fetch(service, *words)
            expect("fetch of " + kind, (done.returncode, done.stderr), (0, ""))
            expect("what was asked for", sorted(service.requests), sorted(service.answers))
            expect("verdict of " + kind, sample.verdict("--cache", sample.cache, "--require-snp-revocation"), "valid")


def case_certificates_with_evidence(directory):
    """RA-TLS: the quote inside, fetched for and kept like the quote itself, and the certificate's key."""
    with FakeService(directory) as service:
        for kind in ("SgxCertificate", "TdxCertificate"):
            sample = Sample(directory, kind)
            sample.evidence = sample.path + "/certificate.pem"
            expect("without collateral", sample.verdict(), "static-ok")
            expect("with a file", sample.verdict("--collateral", sample.path + "/collateral.json"), "UpToDate")
            service.answers = sample.pcs_answers()
            expect("with the network", sample.verdict("--fetch", *service.words(), "--cache", sample.cache), "UpToDate")
            expect("with the cache", sample.verdict("--cache", sample.cache), "UpToDate")
            code, answer = verify(sample.evidence, *sample.words[:2], "--time", "2026-01-20", "--cache", sample.cache)
            expect("two days after its end", (code, answer["verdict"]), (1, "invalid"))
            assert "the certificate" in answer["reason"], answer["reason"]
        # The evidence of another key in a certificate that is otherwise right.
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", "/dev/null", "-out", directory + "/thief.pem", "-days", "2", "-subj", "/CN=attested",
                        "-addext", "2.23.133.5.4.9=DER:" + tagged_evidence(read(sample.evidence)).hex()],
                       check=True, capture_output=True)
        code, answer = verify(directory + "/thief.pem", *sample.words, "--cache", sample.cache)
        expect("stolen evidence", (code, answer["verdict"]), (1, "invalid"))
        assert "key" in json.dumps([check for check in answer["checks"] if check["outcome"] == "failed"]), answer["reason"]


def tagged_evidence(certificate):
    """The extension's value, found by its identifier in a PEM certificate."""
    der = base64.b64decode(b"".join(certificate.strip().split(b"\n")[1:-1]))
    oid = bytes.fromhex("060667810505" + "0409")
    place = der.index(oid) + len(oid)
    assert der[place:place + 2] == b"\x04\x82", "no octet string of two length bytes"
    size = int.from_bytes(der[place + 2:place + 4], "big")
    return der[place + 4:place + 4 + size]


def case_wrapped_reports(directory):
    """Azure's HCL report: fetched for by the SNP report inside."""
    sample = Sample(directory, "SnpHcl")
    with FakeService(directory) as service:
        service.answers = kds_answers(sample, "vcek", "Milan", leaf_path(sample))
        sample.evidence = sample.path + "/hcl.bin"
        expect("verdict without certificates", sample.verdict(), "invalid")
        expect("verdict", sample.verdict("--fetch", *service.words(), "--cache", sample.cache), "valid")
    expect("verdict from the cache", sample.verdict("--cache", sample.cache), "valid")


def case_snp_reports_that_cannot_be_asked_for(directory):
    with FakeService(directory) as service:
        done = Sample(directory, "SnpMilanV2").fetch(service)
        assert done.returncode == 2 and "--product" in done.stderr, done.stderr
        masked = Sample(directory, "SnpMilan")
        report = bytearray(read(masked.evidence))
        report[416:480] = bytes(64)
        masked.evidence = directory + "/masked.bin"
        with open(masked.evidence, "wb") as file:
            file.write(report)
        done = masked.fetch(service)
        assert done.returncode == 2 and "CHIP_ID" in done.stderr, done.stderr
        # VLEK without its certificate: nobody to get it from.
        vlek = Sample(directory, "SnpVlek")
        service.answers = kds_answers(vlek, "vlek", "Genoa", None)
        done = vlek.fetch(service)
        assert done.returncode == 2 and "VLEK" in done.stderr, done.stderr
        expect("what was asked for", service.requests, [])


def case_verify_fetches_what_is_missing(directory):
    sample = Sample(directory, "TdxV4")
    with FakeService(directory) as service:
        service.answers = sample.pcs_answers()
        words = ["--fetch", *service.words()]
        expect("verdict", sample.verdict(*words), "UpToDate")
        expect("requests", len(service.requests), 4)
        expect("verdict", sample.verdict(*words, "--cache", sample.cache), "UpToDate")
        expect("requests", len(service.requests), 8)
        expect("verdict from the cache", sample.verdict(*words, "--cache", sample.cache), "UpToDate")
        expect("verdict from a file", sample.verdict(*words, "--collateral", sample.path + "/collateral.json"), "UpToDate")
        expect("requests", len(service.requests), 8)
        # Expired in the cache, and the service has nothing newer: no verdict is better than a silent old one.
        done = casemate("quote", "verify", sample.evidence, *sample.words[:2], "--time", "2036-01-01", *words, "--cache",
                        sample.cache)
        expect("exit code", done.returncode, 2)
        expect("requests", len(service.requests), 12)
    expect("verdict without a service", sample.verdict(*words, "--cache", sample.cache), "UpToDate")


def case_fetches_collateral_of_published_vectors(directory):
    for name, tee, fmspc, authority, verdict in (
            ("pos-dcap-qvl--tdx-quote--UpToDate", "tdx", "b0c06f000000", "platform", "UpToDate"),
            ("pos-dcap-qvl--sgx-quote--ConfigurationAndSWHardeningNeeded", "sgx", "00a067110000", "platform",
             "ConfigurationAndSWHardeningNeeded")):
        vector = need("dcap/" + name)
        expected = json.loads(read(vector + "/expected.json"))
        fmspc, now = expected.get("fmspc") or fmspc, expected["verify_at"]
        private = directory + "/" + tee
        os.mkdir(private)
        with FakeService(private) as service:
            chains = json.loads(read(vector + "/collateral.json"))
            service.answers = {}
            for ca in ("platform", "processor"):
                service.answers.update(pcs_answers(chains, tee, fmspc.lower(), ca))
            words = [vector + "/quote.bin", "--fetch", "--time", now, *service.words(), "--cache", private + "/cache"]
            expect("verdict of " + name, verify(*words)[1]["verdict"], verdict)
        expect("verdict from the cache", verify(words[0], *words[2:])[1]["verdict"], verdict)


def case_takes_lists_as_caches_of_pcs_give_them(directory):
    sample = Sample(directory, "SgxV3")
    with FakeService(directory) as service:
        service.answers = sample.pcs_answers()
        for path, answer in service.answers.items():
            if "crl" in path:
                answer.body, answer.content_type = answer.body.hex().encode(), "text/html; charset=utf-8"
        done = sample.fetch(service)
        expect("fetch", (done.returncode, done.stderr), (0, ""))
        base = service.url + "/sgx/certification/v4/"
        done = casemate("quote", "collateral", "fetch", "--cache", sample.cache, "--for", sample.evidence, "--pcs", base,
                        "--ca", service.ca, *sample.words)
        expect("fetch with the API's path", (done.returncode, done.stderr), (0, ""))
    expect("verdict", sample.verdict("--cache", sample.cache), "UpToDate")


def spoil(answer, **members):
    for name, value in members.items():
        setattr(answer, name, value)


def chain_of(answers, part):
    answer = next(answer for path, answer in answers.items() if part in path)
    return answer, next(name for name in answer.headers if name.endswith("Chain"))


# What the service does wrong, by what part of the path; the exit code; and what the one line of complaint must name.
MISBEHAVIOUR = [
    ("tcb?", dict(status=404), 1, "HTTP status 404"),
    ("tcb?", dict(status=500), 2, "HTTP status 500"),
    ("qe/identity", dict(status=401), 2, "HTTP status 401"),
    ("qe/identity", dict(status=429, headers={"Retry-After": "7"}), 2, "in 7 seconds"),
    ("tcb?", dict(content_type="text/html"), 1, "content type"),
    ("qe/identity", dict(content_type=""), 1, "content type"),
    ("pckcrl", dict(content_type="application/json"), 1, "content type"),
    ("tcb?", dict(body=b"{"), 1, "TCB info"),
    ("tcb?", dict(body=b"[" * 100000), 1, "TCB info"),
    ("tcb?", dict(body=b""), 1, "TCB info"),
    ("qe/identity", dict(body=b'{"enclaveIdentity":{},"signature":""}'), 1, "QE identity"),
    ("pckcrl", dict(body=b"<html>Log in to this network</html>"), 1, "no revocation list"),
    ("rootcacrl", dict(body=b"\x30\x84\xff\xff\xff\xff"), 1, "no revocation list"),
    ("tcb?", dict(headers={}), 1, "tcb-info-issuer-chain is missing"),
    ("tcb?", dict(headers={"TCB-Info-Issuer-Chain": "nobody"}), 1, "holds no certificates"),
    ("tcb?", dict(headers={"TCB-Info-Issuer-Chain": "%2"}), 1, "holds no certificates"),
    ("tcb?", dict(headers={"TCB-Info-Issuer-Chain": "A" * 70000}), 2, "larger"),
    ("tcb?", dict(manner="truncated"), 2, "tcb?fmspc"),
    ("tcb?", dict(manner="slow"), 2, "in time"),
    ("pckcrl", dict(manner="endless"), 2, "larger than 512 KiB"),
    ("rootcacrl", dict(body=b"\0" * (600 << 10)), 2, "larger than 512 KiB"),
]


def case_services_that_misbehave(directory):
    sample = Sample(directory, "SgxV3")
    with FakeService(directory) as service:
        for part, members, code, text in MISBEHAVIOUR:
            service.answers = sample.pcs_answers()
            spoil(next(answer for path, answer in service.answers.items() if part in path), **members)
            done = sample.fetch(service, *(["--timeout", "2"] if members.get("manner") == "slow" else []))
            shown = {name: str(value)[:40] for name, value in members.items()}
            assert done.returncode == code and text in done.stderr, "%s %s: exit code %d, %s" % (
                part, shown, done.returncode, done.stderr)
            expect("lines for %s" % shown, len(done.stderr.strip().splitlines()), 1)
            assert not os.path.exists(sample.cache), "%s %s: something was kept" % (part, shown)
        service.answers = sample.pcs_answers()
        expect("control", sample.fetch(service).returncode, 0)


def case_services_that_lie(directory):
    """Well-formed answers that are not what was asked for."""
    sample, tdx = Sample(directory, "SgxV3"), Sample(directory, "TdxV4")
    # Other keys under the same names.
    os.mkdir(directory + "/other")
    stranger = Sample(directory + "/other", "SgxV3").pcs_answers()

    def swapped_chain(answers, part, from_answers, from_part):
        answer, name = chain_of(answers, part)
        other, other_name = chain_of(from_answers, from_part)
        answer.headers[name] = other.headers[other_name]

    def doubled_chain(answers):
        answer, name = chain_of(answers, "tcb?")
        answer.repeated = [(name, chain_of(stranger, "tcb?")[0].headers[name])]

    def replaced(answers, part, from_answers):
        path = next(path for path in answers if part in path)
        answers[path] = next(answer for other, answer in from_answers.items() if part in other)

    def flipped(answers, part, old, new):
        answer = next(answer for path, answer in answers.items() if part in path)
        assert old in answer.body
        answer.body = answer.body.replace(old, new, 1)

    lies = [
        ("chain of strangers", lambda a: swapped_chain(a, "tcb?", stranger, "tcb?"), "TCB info"),
        ("chain of another part", lambda a: swapped_chain(a, "tcb?", a, "pckcrl"), "TCB info"),
        ("PCK chain for the signer's", lambda a: swapped_chain(a, "pckcrl", a, "tcb?"), "PCK revocation list"),
        ("two chains", doubled_chain, "holds no certificates"),
        ("everything of strangers", lambda a: a.update(stranger), "root revocation list"),
        ("TCB info of TDX", lambda a: replaced(a, "tcb?", tdx.pcs_answers()), "TCB info"),
        ("identity of TDX", lambda a: replaced(a, "qe/identity", tdx.pcs_answers()), "QE identity"),
        ("root list as PCK list", lambda a: spoil(chain_of(a, "pckcrl")[0], body=a["/sgx/certification/v4/rootcacrl"].body),
         "PCK revocation list"),
        ("another status", lambda a: flipped(a, "tcb?", b"UpToDate", b"UpToDatE"), "TCB info"),
        ("another date", lambda a: flipped(a, "qe/identity", b"2026", b"2027"), "QE identity"),
    ]
    with FakeService(directory) as service:
        for what, lie, text in lies:
            service.answers = sample.pcs_answers()
            lie(service.answers)
            done = sample.fetch(service)
            assert done.returncode == 1 and text in done.stderr, "%s: exit code %d, %s" % (
                what, done.returncode, done.stderr)
            assert not os.path.exists(sample.cache), what + ": something was kept"
        service.answers = sample.pcs_answers()
        late = ["--root", sample.path + "/root.der", "--time", "2031-01-01"]
        done = casemate("quote", "collateral", "fetch", "--cache", sample.cache, "--for", sample.evidence,
                        *service.words(), *late)
        assert done.returncode == 1 and "validity of" in done.stderr, done.stderr
        done = casemate("quote", "collateral", "fetch", "--cache", sample.cache, "--for", sample.evidence,
                        *service.words(), "--time", sample.now)
        assert done.returncode == 1, "accepted under Intel's root: " + done.stdout
        snp = Sample(directory, "SnpMilan")
        service.answers = kds_answers(snp, "vcek", "Milan", leaf_path(snp))
        path = next(path for path in service.answers if "SPL" in path)
        service.answers[path].body = read(Sample(directory, "SnpMilanV2").path + "/ask.der")
        done = snp.fetch(service)
        assert done.returncode == 1 and "do not verify" in done.stderr, done.stderr


def case_redirections_stay_at_the_service(directory):
    sample = Sample(directory, "SgxV3")
    os.mkdir(directory + "/other")
    with FakeService(directory) as service, FakeService(directory + "/other") as other:
        good = sample.pcs_answers()
        path = next(path for path in good if "tcb?" in path)
        for target, code, text in (("/elsewhere", 0, ""), (service.url + "/elsewhere", 0, ""),
                                   (other.url + path, 2, "not followed"), ("http://127.0.0.1/x", 2, "not followed"),
                                   (service.url.replace("127.0.0.1", "localhost") + "/x", 2, "not followed"),
                                   ("file:///etc/passwd", 2, "not followed"), (path, 2, "without end")):
            service.answers = dict(good)
            service.answers["/elsewhere"] = good[path]
            service.answers[path] = Answer("", "text/plain", {"Location": target}, status=302)
            other.answers = dict(good)
            done = sample.fetch(service)
            assert done.returncode == code and text in done.stderr, "%s: %d %s" % (target, done.returncode, done.stderr)
        expect("requests elsewhere", other.requests, [])


def case_servers_must_be_who_they_are(directory):
    sample = Sample(directory, "SgxV3")
    for name in ("other", "named"):
        os.mkdir(directory + "/" + name)
    with FakeService(directory) as service, FakeService(directory + "/named", "DNS:pcs.example") as named:
        other_ca = FakeService(directory + "/other")
        other_ca.server.server_close()
        named.answers = service.answers = sample.pcs_answers()
        words = ["quote", "collateral", "fetch", "--cache", sample.cache, "--for", sample.evidence, *sample.words]
        for more in (["--pcs", service.url], ["--pcs", service.url, "--ca", other_ca.ca],
                     ["--pcs", named.url, "--ca", named.ca]):
            done = casemate(*words, *more)
            assert done.returncode == 2 and "not trusted (--ca)" in done.stderr or "(--ca FILE)" in done.stderr, done.stderr
        done = casemate(*words, "--pcs", service.url, "--ca", directory + "/none.pem")
        assert done.returncode == 2 and "none.pem" in done.stderr, done.stderr
        expect("requests that came through", service.requests + named.requests, [])
        expect("control", sample.fetch(service).returncode, 0)


def case_services_that_are_not_there(directory):
    sample = Sample(directory, "SgxV3")
    words = ["quote", "collateral", "fetch", "--cache", sample.cache, "--for", sample.evidence, *sample.words]
    with FakeService(directory) as service, socket.socket() as closed, socket.socket() as silent:
        closed.bind(("127.0.0.1", 0))  # nobody listens: refused
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # nobody answers
        for listener, text in ((closed, "cannot be reached"), (silent, "in time")):
            url = "https://127.0.0.1:%d" % listener.getsockname()[1]
            done = casemate(*words, "--pcs", url, "--ca", service.ca, "--timeout", "2")
            assert done.returncode == 2 and text in done.stderr and url in done.stderr, done.stderr
            done = casemate("quote", "verify", sample.evidence, *sample.words, "--fetch", "--pcs", url, "--ca", service.ca,
                            "--timeout", "2")
            assert done.returncode == 2 and text in done.stderr and not done.stdout, done.stderr


def case_the_environment_steers_nothing(directory):
    sample = Sample(directory, "SgxV3")
    nowhere = "http://127.0.0.1:1"
    secrets = directory + "/keys.log"
    environment = {"https_proxy": nowhere, "HTTPS_PROXY": nowhere, "ALL_PROXY": nowhere, "SSL_CERT_FILE": "/dev/null",
                   "CURL_CA_BUNDLE": "/dev/null", "SSLKEYLOGFILE": secrets, "OPENSSL_CONF": "/nowhere", "HOME": directory,
                   "LD_PRELOAD": "/nowhere.so", "PATH": os.environ["PATH"]}
    with FakeService(directory) as service:
        service.answers = sample.pcs_answers()
        done = sample.fetch(service, env=environment)
        expect("fetch", done.returncode, 0)
    assert not os.path.exists(secrets), "TLS keys were logged"


def case_wrong_words_of_fetch_exit_with_2(directory):
    sample = Sample(directory, "SgxV3")
    words = ["quote", "collateral", "fetch", "--cache", sample.cache]
    for more in ([], ["--for", "/nowhere"], ["--for", sample.evidence, "--pcs", "http://127.0.0.1"],
                 ["--for", sample.evidence, "--pcs", "https://user:word@127.0.0.1"],
                 ["--for", sample.evidence, "--kds", "ftp://x"], ["--for", sample.evidence, "--timeout", "0"],
                 ["--for", sample.evidence, "--product", "Rome"], ["--for", sample.evidence, "--time", "soon"],
                 ["--for", sample.path + "/root.der"]):
        done = casemate(*words, *more)
        expect("exit code of %s" % more, done.returncode, 2)
        expect("lines of %s" % more, len(done.stderr.strip().splitlines()), 1)
    done = casemate("quote", "verify", "--case", sample.path, "--fetch")
    expect("exit code of --case with --fetch", done.returncode, 2)
