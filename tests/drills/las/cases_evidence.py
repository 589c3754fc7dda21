"""What evidence says is true, belongs to the asked nonce and to this service's key, and is refused elsewhere."""
import hashlib
import os
import struct

from bench import Evidence, describe, expect_one_line


def statement_digest(purpose, nonce):
    label = b"casemate statement nonce".ljust(32, b"\0")
    return hashlib.sha512(label + struct.pack("<III", 1, purpose, len(nonce)) + nonce).digest()


def measured(bench, path):
    result = bench.call("measure", path, check=True)
    words = [word for word in result.stdout.decode().replace(":", " ").split() if len(word) == 64]
    assert words, describe(result)
    return bytes.fromhex(words[0])


def drill_evidence_names_runtime_nonce_and_key(bench):
    service = bench.serve()
    for target in (service, None):
        result, data = bench.ask(target, nonce="00ff10")
        assert result.returncode == 0, describe(result)
        evidence = Evidence(data)
        assert (evidence.purpose, evidence.backend, evidence.checks, evidence.node) == (1, 1, 1, b"")
        assert evidence.measurement == measured(bench, bench.runtime)
        assert evidence.nonce_digest == statement_digest(1, b"\x00\xff\x10")
        assert evidence.key_id == hashlib.sha256(evidence.public_key_info()).digest()
        assert evidence.signature_holds(bench.directory)
    evidence = Evidence(bench.ask(service)[1])
    assert evidence.key_id.hex() in service.announcement
    assert evidence.key_id.hex() == bench.status(service)["key_id"]


def drill_a_changed_runtime_has_another_measurement(bench):
    """Power: whoever may write the runtime's file. The last byte of the text is changed: code that never runs here."""
    service = bench.serve()
    before = Evidence(bench.ask(service)[1])
    with open(bench.runtime, "rb") as file:
        image = bytearray(file.read())
    count, = struct.unpack_from("<H", image, 56)
    for number in range(count):
        kind, flags, offset, _, _, size = struct.unpack_from("<IIQQQQ", image, 64 + 56 * number)
        if kind == 1 and flags & 1:
            image[offset + size - 1] ^= 1
    os.unlink(bench.runtime)
    with open(bench.runtime, "wb") as file:
        file.write(image)
    os.chmod(bench.runtime, 0o755)
    result, data = bench.ask(service)
    assert result.returncode == 0, describe(result)
    assert Evidence(data).measurement == measured(bench, bench.runtime) != before.measurement
    assert bench.status(service)["files_measured"] == 2, bench.status(service)


def verify(bench, data, nonce, *policy):
    path = bench.new_file()
    with open(path, "wb") as file:
        file.write(data)
    return bench.call("quote", "verify", path, "--nonce", nonce, *policy)


def drill_self_made_key(bench):
    """Power: anybody: a service of one's own says what one likes. The control trusts whatever key signed."""
    honest, own = bench.serve(), bench.serve()
    pin = bench.status(honest)["key_id"]
    _, forged = bench.ask(own, nonce="aa")
    assert Evidence(forged).signature_holds(bench.directory), "the control does not accept the forged evidence"
    _, genuine = bench.ask(honest, nonce="aa")
    pinned = ("--allow-simulation", "--simulation-key", pin)
    result = verify(bench, genuine, "aa", *pinned)
    assert result.returncode == 0, describe(result)
    result = verify(bench, forged, "aa", *pinned)
    assert result.returncode == 1, describe(result)
    # Another nonce; no policy; simulation without a pin.
    assert verify(bench, genuine, "ab", *pinned).returncode == 1
    assert verify(bench, genuine, "aa").returncode == 1
    assert verify(bench, genuine, "aa", "--allow-simulation").returncode == 2


def drill_quote_get_asks_about_the_installed_runtime(bench):
    service, output = bench.serve(), bench.new_file()
    result = bench.call("quote", "get", "--nonce", "01", "--output", output, "--las", service.socket)
    assert result.returncode == 0 and result.stdout == b"", describe(result)
    with open(output, "rb") as file:
        evidence = Evidence(file.read())
    assert evidence.key_id.hex() == bench.status(service)["key_id"]
    assert evidence.nonce_digest == statement_digest(1, b"\x01")


def drill_key_in_a_file_stays(bench):
    key = bench.path("key")
    first = bench.serve("--key", key)
    assert os.stat(key).st_mode & 0o777 == 0o600
    key_id = bench.status(first)["key_id"]
    first.log()
    assert bench.status(bench.serve("--key", key))["key_id"] == key_id
    os.chmod(key, 0o644)
    result = bench.call("las", "serve", "--socket", bench.new_name(), "--key", key)
    expect_one_line(result, 2, "0600")


def drill_attested_run_is_sealed(bench):
    """Power: another process of the same user. The control is a run without evidence."""
    import subprocess
    from bench import CLEAN, as_nobody
    service = bench.serve()
    read_memory = ("import os,sys\npid=int(sys.argv[1])\ntry:\n open('/proc/%d/mem'%pid,'rb'); print('open')\n"
                   "except PermissionError: print('closed')")
    for words, expected in ((["--attest=" + service.socket, "--nonce", "00", "--evidence", bench.new_file()], "closed"),
                            ([], "open")):
        run = subprocess.Popen([bench.casemate, "run", *words, "--", "/bin/sh", "-c", "echo $$; exec sleep 100"],
                               stdout=subprocess.PIPE, env=CLEAN, preexec_fn=as_nobody)
        try:
            pid = run.stdout.readline().strip().decode()
            # Until the second image, that of sleep, is there: sealing must survive exec.
            while b"sleep" not in open("/proc/%s/cmdline" % pid, "rb").read():
                pass
            seen = subprocess.run(["/usr/bin/python3", "-c", read_memory, pid], stdout=subprocess.PIPE,
                                  preexec_fn=as_nobody).stdout.decode().strip()
            assert seen == expected, (seen, expected)
        finally:
            run.kill()
            run.communicate()
