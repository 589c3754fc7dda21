"""Bad input, to the service and to those who ask it: a clear refusal, never evidence, and the service serves on."""
import array
import os
import socket
import struct

from bench import NOBODY, RESULTS, describe, expect_one_line

MAGIC, VERSION, EVIDENCE = 0x3153414c6d736143, 1, 1
HELLO = struct.pack("<QII", MAGIC, VERSION, EVIDENCE)


def connect(service):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect("\0" + service.socket[1:])  # waits while the queue is full, so no time limit yet
    connection.settimeout(60)
    return connection


def result_of(connection):
    answer = connection.recv(100)
    assert len(answer) == 24, answer
    return struct.unpack("<QIIII", answer)[2]


def expect_alive(bench, service):
    result, evidence = bench.ask(service)
    assert result.returncode == 0 and evidence, describe(result)


def drill_malformed_messages(bench):
    service = bench.serve()
    for message in (b"x", HELLO[:-1], HELLO + b"x", HELLO * 1000, struct.pack("<QII", MAGIC + 1, VERSION, EVIDENCE),
                    struct.pack("<QII", MAGIC, VERSION + 1, EVIDENCE), struct.pack("<QII", MAGIC, VERSION, 99)):
        with connect(service) as connection:
            connection.send(message)
            assert result_of(connection) == RESULTS["malformed"], message[:30]
    expect_alive(bench, service)


def drill_descriptors_are_not_taken(bench):
    service = bench.serve()
    before = len(os.listdir("/proc/%d/fd" % service.process.pid)) if os.getuid() == 0 else 0
    with open("/dev/null") as file, connect(service) as connection:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()] * 50))]
        connection.sendmsg([HELLO], rights)
        assert result_of(connection) == RESULTS["malformed"]
    expect_alive(bench, service)
    if os.getuid() == 0:
        assert len(os.listdir("/proc/%d/fd" % service.process.pid)) <= before + 1


def drill_idle_callers_do_not_hold_up_others(bench):
    """Power: any user. 300 connections that say nothing, from another user and from the same."""
    service = bench.serve()
    idle = [connect(service) for _ in range(300)]
    if os.getuid() == 0:
        os.seteuid(NOBODY)
        idle += [connect(service) for _ in range(300)]
        os.seteuid(0)
    expect_alive(bench, service)
    for connection in idle:
        connection.close()


def drill_callers_that_leave_at_any_moment(bench):
    service = bench.serve()
    for message in (None, HELLO):
        for _ in range(100):
            with connect(service) as connection:
                if message is not None:
                    connection.send(message)
    expect_alive(bench, service)


def drill_refusals_do_not_fill_the_log(bench):
    service = bench.serve()
    for _ in range(500):
        with connect(service) as connection:
            connection.send(b"x")
            result_of(connection)
    expect_alive(bench, service)
    lines = service.log().count("\n")
    assert 0 < lines < 400, lines


def drill_no_service(bench):
    expect_one_line(bench.call("run", "--attest=@nobody-listens-here", "--nonce", "00", "--evidence", bench.new_file(),
                               "--", "/bin/true"), 125, "cannot reach", "casemate las serve")
    expect_one_line(bench.call("las", "status", "--socket", bench.path("nothing")), 125, "casemate las serve")


def answering(bench, *messages):
    """Runs against a service that answers each message of the runtime with the next of these, then hangs up."""
    import threading
    name = bench.new_name()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("\0" + name[1:])
        listener.listen()

        def serve():
            with listener.accept()[0] as connection:
                for message in messages:
                    connection.recv(1000)
                    connection.send(message)
        thread = threading.Thread(target=serve)
        thread.start()
        evidence = bench.new_file()
        result = bench.call("run", "--attest=" + name, "--nonce", "00", "--evidence", evidence, "--", "/bin/true")
        thread.join()
    return result, open(evidence, "rb").read()


def drill_services_that_answer_nonsense(bench):
    challenge = struct.pack("<QII", MAGIC, VERSION, 0) + bytes(32)

    def reply(result=0, size=0, magic=MAGIC, version=VERSION, reason=0):
        return struct.pack("<QIIII", magic, version, result, size, reason)
    for messages, words in (([], ["attestation service"]),
                            ([b"x"], ["wrong size"]),
                            ([bytes(48)], ["another language"]),
                            ([reply(result=2, reason=4)], ["traced"]),
                            ([reply(result=99)], ["unknown answer"]),
                            ([reply(result=2, reason=4000000000)], ["unknown answer"]),
                            ([challenge], ["attestation service"]),
                            ([challenge, b"x"], ["too short"]),
                            ([challenge, reply()], ["wrong size"]),
                            ([challenge, reply(size=5) + b"abcd"], ["wrong size"]),
                            ([challenge, reply(size=4, version=2) + b"abcd"], ["another language"])):
        result, evidence = answering(bench, *messages)
        expect_one_line(result, 125, "no evidence", *words)
        assert evidence == b"", evidence


def drill_words_that_make_no_sense(bench):
    file = bench.new_file()
    for words in (["--attest"], ["--attest", "--nonce", "00"], ["--nonce", "00", "--evidence", file],
                  ["--attest", "--nonce", "0", "--evidence", file], ["--attest", "--nonce", "xy", "--evidence", file],
                  ["--attest", "--nonce", "00" * 65, "--evidence", file],
                  ["--attest=" + "x" * 200, "--nonce", "00", "--evidence", file],
                  ["--attest", "--nonce", "00", "--evidence", bench.path("no/such/directory")]):
        expect_one_line(bench.call("run", *words, "--", "/bin/true"), 125)
    for words in ([], ["serve", "--backend", "magic"], ["serve", "--renew", "0"], ["serve", "--group", "x"],
                  ["status", "serve"]):
        assert bench.call("las", *words).returncode == 2, words


def drill_two_services_at_one_name(bench):
    path = bench.path("las.sock")
    first = bench.serve(socket=path)
    expect_one_line(bench.call("las", "serve", "--socket", path), 2, "another service")
    first.process.kill()
    first.process.communicate()
    assert os.path.exists(path)
    second = bench.serve(socket=path)
    expect_alive(bench, second)
    second.log()
    assert not os.path.exists(path)
    with open(path, "w"):
        pass
    expect_one_line(bench.call("las", "serve", "--socket", path), 2, "not a socket")


def drill_status_is_for_root_and_the_services_user(bench):
    from bench import Skipped, as_nobody
    if os.getuid() != 0:
        raise Skipped("needs two users")
    service = bench.serve()
    assert bench.status(service)["backend"] == "simulation"
    expect_one_line(bench.call("las", "status", "--socket", service.socket, preexec_fn=as_nobody), 2, "neither root")
