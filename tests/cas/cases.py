"""Cases of tests/cas/run; each name says what must hold."""
import os
import random
import shutil
import signal
import string
import subprocess
import sys
import time

import verify_log

HERE = os.path.dirname(os.path.abspath(__file__))
ENOSPC = 28


class Skipped(Exception):
    pass


class Bench:
    def __init__(self, directory, casemate, store_load):
        self.directory, self.casemate, self.store_load = directory, casemate, store_load
        for program in (casemate, store_load):
            if not os.access(program, os.X_OK):
                raise Skipped("%s was not built" % program)
        self.store, self.key, self.anchor = (os.path.join(directory, name) for name in ("store", "key", "anchor"))

    def words(self, command, *more):
        return [self.store_load, command, self.store, self.key, self.anchor, *more]

    def load(self, command, *more, text="", prefix=()):
        return subprocess.run([*prefix, *self.words(command, *more)], input=text, capture_output=True, text=True,
                              timeout=120)

    def log(self, *words):
        return subprocess.run([self.casemate, "log", *words], capture_output=True, text=True, timeout=120)

    def export(self, *words):
        """The store's log in a new file; returns its path and the log id."""
        path = os.path.join(self.directory, "export%d" % random.getrandbits(40))
        done = self.log("export", self.store, "--key-file", self.key, "-o", path, *words)
        assert done.returncode == 0, done.stderr
        with open(path) as file:
            log_id = file.read().split("casemate/log/", 1)[1][:64]
        return path, log_id

    def verify_independently(self, log_id, path, *older):
        return subprocess.run(["/usr/bin/python3", os.path.join(HERE, "verify_log.py"), log_id, path, *older],
                              capture_output=True, text=True, timeout=120)


def write_for(bench, seconds, threads):
    """Lets the driver commit, kills it, and returns the lines that it said."""
    process = subprocess.Popen(bench.words("write", str(threads)), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    said, complaints = process.communicate()
    assert process.returncode == -signal.SIGKILL, complaints
    # The last line may be cut; what is not a whole line was not acknowledged.
    return [line.split(" ") for line in said.split("\n")[:-1]]


class Promises:
    """What was acknowledged: numbers by thread, leaves by index, roots by size."""

    def __init__(self):
        self.numbers, self.leaves, self.roots = {}, {}, {}

    def note(self, lines):
        for word, *rest in lines:
            if word == "ack":
                thread, number, index, leaf = rest
                self.numbers["thread" + thread] = int(number)
                self.leaves[int(index)] = leaf
            elif word == "head":
                self.roots[int(rest[0])] = rest[1]

    def check_rows(self, lines):
        rows = {line[1]: line[2] for line in lines if line[0] == "row"}
        for name, number in self.numbers.items():
            assert int(rows.get(name, 0)) >= number, "%s lost %d" % (name, number)
            # All or nothing: the counter and the row of the same change agree.
            last = int(rows[name])
            assert rows.get("%s/%d" % (name, last)) == str(last) and "%s/%d" % (name, last + 1) not in rows
            for each in range(max(1, number - 20), number + 1):
                assert rows.get("%s/%d" % (name, each)) == str(each), "row %s/%d is lost" % (name, each)

    def check_log(self, path):
        with open(path) as file:
            leaves = [line.split(" ")[1].strip() for line in file if line.startswith("leaf ")]
        for index, leaf in self.leaves.items():
            assert leaves[index] == leaf, "entry %d is another one" % index
        for size in sorted(self.roots)[-5:]:
            root = verify_log.root([bytes.fromhex(leaf) for leaf in leaves[:size]])
            assert root.hex() == self.roots[size], "the log does not continue the head of size %d" % size


def case_killed_at_random_points_loses_nothing_acknowledged(bench):
    kills = int(os.environ.get("CASEMATE_CAS_KILLS", "50"))
    assert bench.load("show").returncode == 0
    promises, longest = Promises(), 0.4
    for kill in range(kills):
        promises.note(write_for(bench, random.uniform(0.0, longest), threads=random.choice((1, 4, 16))))
        if kill % 5 == 4 or kill == kills - 1:
            shown = bench.load("show")
            assert shown.returncode == 0, "after kill %d: %s" % (kill, shown.stderr)
            promises.check_rows(line.split(" ") for line in shown.stdout.splitlines())
    path, log_id = bench.export()
    promises.check_log(path)
    # A loop in which nothing is acknowledged before the kill shows nothing.
    assert len(promises.leaves) > kills, "only %d changes were acknowledged" % len(promises.leaves)
    for verified in (bench.log("verify", path, "--log-id", log_id), bench.verify_independently(log_id, path)):
        assert verified.returncode == 0, verified.stderr


def case_a_store_killed_while_it_is_made_opens_or_says_that_it_is_incomplete(bench):
    for _ in range(10):
        process = subprocess.Popen(bench.words("show"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(random.uniform(0.0, 0.05))
        process.kill()
        process.communicate()
        again = bench.load("show")
        if again.returncode != 0:
            assert "never completed" in again.stderr or "not a CAS store" in again.stderr, again.stderr
        shutil.rmtree(bench.store, ignore_errors=True)
        if os.path.exists(bench.anchor):
            os.remove(bench.anchor)


def case_a_rolled_back_database_is_refused_with_instructions(bench):
    assert bench.load("show").returncode == 0
    write_for(bench, 0.3, threads=4)
    assert bench.load("show").returncode == 0
    kept = os.path.join(bench.directory, "kept")
    shutil.copytree(bench.store, kept)
    assert bench.load("show").returncode == 0
    shutil.rmtree(bench.store)
    shutil.copytree(kept, bench.store)
    refused = bench.load("show")
    assert refused.returncode == 1, refused.stdout
    assert "older than its file anchor" in refused.stderr and "casemate cas restore" in refused.stderr, refused.stderr


def read(path):
    with open(path) as file:
        return file.read()


def files_with(directory, needle):
    found = []
    for folder, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                if needle in file.read():
                    found.append(name)
    return found


def case_no_secret_is_in_any_file(bench):
    marker = "MARKER-%032x" % random.getrandbits(128)
    done = bench.load("secrets", text="\n".join(marker + "-%d" % i for i in range(20)))
    assert done.returncode == 0, done.stderr
    assert os.listdir(bench.store)
    found = files_with(bench.directory, marker.encode())
    assert not found, "the marker is in %s" % found
    # The control: an unsealed row of a plain database is found by the same search.
    import sqlite3
    plain = sqlite3.connect(os.path.join(bench.directory, "plain.db"))
    plain.execute("CREATE TABLE item (sealed BLOB)")
    plain.execute("INSERT INTO item VALUES (?)", (marker.encode(),))
    plain.commit()
    plain.close()
    assert files_with(bench.directory, marker.encode()) == ["plain.db"]
    # Whoever may read the log sees the names that it has.
    path, _ = bench.export()
    assert marker.encode().hex() in read(path)


def case_a_full_disk_refuses_the_change_and_keeps_the_state(bench):
    if os.geteuid() != 0:
        raise Skipped("mounting a small file system needs root")
    os.mkdir(bench.store, 0o700)
    script = 'mount -t tmpfs -o size=6m none "$1" && shift && exec "$@"'
    done = bench.load("fill", prefix=("unshare", "--mount", "/bin/sh", "-c", script, "sh", bench.store))
    if "unshare" in done.stderr or "mount" in done.stderr:
        raise Skipped(done.stderr.strip())
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[0] == "open" and lines[1].startswith("refused %d " % ENOSPC) and lines[2:] == ["accepted"], lines


def small_log(bench):
    done = bench.load("secrets", text="first\nsecond\nthird\nfourth\nfifth")
    assert done.returncode == 0, done.stderr
    return bench.export()


def case_exports_verify_here_and_independently_and_no_changed_one_does(bench):
    path, log_id = small_log(bench)
    with open(path) as file:
        good = file.read()

    def verdicts(text):
        with open(path + ".changed", "w") as file:
            file.write(text)
        ours = bench.log("verify", path + ".changed", "--log-id", log_id)
        independent = bench.verify_independently(log_id, path + ".changed")
        assert ours.returncode in (0, 1) and independent.returncode in (0, 1), ours.stderr + independent.stderr
        return ours.returncode, independent.returncode

    assert verdicts(good) == (0, 0)
    lines = good.splitlines(keepends=True)
    for number, line in enumerate(lines):
        without = "".join(lines[:number] + lines[number + 1:])
        assert verdicts(without) == (1, 1), "accepted without line %d: %s" % (number, line)
        words = line.split(" ")
        at = len(line) - 3 if len(words) > 1 else 0
        changed = line[:at] + ("0" if line[at] != "0" else "1") + line[at + 1:]
        assert verdicts("".join(lines[:number] + [changed] + lines[number + 1:])) == (1, 1), "accepted: " + changed
    number = next(i for i, line in enumerate(lines) if line.startswith("\u2014 "))
    digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    stray = lines[number][:-3] + digits[digits.index(lines[number][-3]) + 1] + "=\n"  # a bit that stands for nothing
    assert verdicts("".join(lines[:number] + [stray] + lines[number + 1:])) == (1, 1), "accepted: " + stray
    leaves = [i for i, line in enumerate(lines) if line.startswith("leaf ")]
    swapped = list(lines)
    swapped[leaves[1]], swapped[leaves[2]] = lines[leaves[2]], lines[leaves[1]]
    assert verdicts("".join(swapped)) == (1, 1)
    other = "%064x" % random.getrandbits(256)
    assert bench.log("verify", path, "--log-id", other).returncode == 1
    assert bench.verify_independently(other, path).returncode == 1


def case_withheld_entries_stay_hidden_and_the_log_still_verifies(bench):
    small_log(bench)
    for words, wanted, hidden in ((["--session", "second"], "second", "third"), (["--hashes-only"], "", "second")):
        path, log_id = bench.export(*words)
        text = read(path)
        assert wanted.encode().hex() in text and hidden.encode().hex() not in text
        assert bench.log("verify", path, "--log-id", log_id).returncode == 0
        assert bench.verify_independently(log_id, path).returncode == 0


def case_receipts_and_older_heads_are_proved(bench):
    path, log_id = small_log(bench)
    older = os.path.join(bench.directory, "older")
    assert bench.log("head", path, "-o", older).returncode == 0
    receipt = os.path.join(bench.directory, "receipt")
    for index in range(6):
        assert bench.log("prove", path, str(index), "-o", receipt).returncode == 0
        shown = bench.log("verify", receipt, "--log-id", log_id)
        assert shown.returncode == 0 and "verified" in shown.stdout, shown.stderr
        assert bench.verify_independently(log_id, receipt).returncode == 0
        text = read(receipt)
        at = text.index("entry ") + 10
        with open(receipt, "w") as file:
            file.write(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1:])
        assert bench.log("verify", receipt, "--log-id", log_id).returncode == 1
        assert bench.verify_independently(log_id, receipt).returncode == 1
        os.remove(receipt)
    newer, _ = small_log(bench)
    assert bench.log("verify", newer, "--since", older).returncode == 0
    assert bench.verify_independently(log_id, newer, older).returncode == 0
    proof = os.path.join(bench.directory, "proof")
    assert bench.log("prove", newer, "--since", older, "-o", proof).returncode == 0
    assert bench.log("verify", proof, "--log-id", log_id).returncode == 0
    # The other way round: what was kept is newer than what is shown.
    kept = os.path.join(bench.directory, "newest")
    assert bench.log("head", newer, "-o", kept).returncode == 0
    refused = bench.log("verify", path, "--since", kept)
    assert refused.returncode == 1 and "rolled back" in refused.stderr, refused.stderr
    assert bench.verify_independently(log_id, path, kept).returncode == 1


def case_the_command_line_says_what_is_wrong(bench):
    path, _ = small_log(bench)
    expected = (
        ([], 2, "no command"), (["frobnicate"], 2, "no command 'frobnicate'"), (["verify"], 2, "operands"),
        (["verify", path, "--log-id", "12"], 2, "64"), (["prove", path], 2, "INDEX"),
        (["prove", path, "99"], 2, "99"), (["prove", path, "x"], 2, "no index"), (["head", path, "--what"], 2, "--what"),
        (["verify", "/dev/null"], 1, "no export"), (["verify", "/nonexistent"], 125, "/nonexistent"),
        (["export", bench.store], 2, "--key-file"), (["export", bench.directory, "--key-file", bench.key], 125, "no CAS"),
    )
    for words, code, text in expected:
        done = bench.log(*words)
        assert done.returncode == code and text in done.stderr, "%s: %d %s" % (words, done.returncode, done.stderr)
    assert bench.log("--help").returncode == 0


assert sys.version_info >= (3, 9)
