"""Tools that are killed: the volume mounts, verifies and holds whole files; doing it again ends well."""
import os
import signal
import time

from trees import snapshot
from workshop import describe, expect

ROUNDS = 8


def import_seconds(shop, tree):
    start = time.monotonic()
    shop.volume_of(tree, "timed")
    return time.monotonic() - start


def make_tree(shop):
    tree = shop.path("tree")
    os.mkdir(tree)
    for number in range(800):
        shop.file("tree/%d/%d" % (number % 20, number), shop.random.randbytes(shop.random.randrange(20000)))
    for number in range(4):
        shop.file("tree/large-%d" % number, shop.random.randbytes(8 << 20))
    return tree


def kill_after(process, seconds):
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    return process.wait()


def case_killed_import_leaves_a_volume_that_verifies(shop):
    tree = make_tree(shop)
    original = snapshot(tree)
    seconds = import_seconds(shop, tree)
    volume = shop.create()
    killed = 0
    for number in range(ROUNDS):
        process = shop.start("import", volume, tree)
        killed += kill_after(process, shop.random.uniform(0, seconds)) == -signal.SIGKILL
        result = shop.call("verify", volume)
        assert result.returncode == 0, "after kill %d: %s" % (number, describe(result))
        # What is there is true, except that the file of the moment may be short.
        short = [entry for entry in shop.json("diff", volume, tree) if entry["kind"] in ("contents", "type", "target")]
        assert not short, short[:5]
    assert killed > 0, "no import was killed in time"
    expect(shop.call("import", volume, tree))
    expect(shop.call("diff", volume, tree), 0, b"")
    expect(shop.call("export", volume, shop.path("out")))
    assert snapshot(shop.path("out")) == original


def case_killed_import_with_an_anchor_is_no_rollback(shop):
    tree = make_tree(shop)
    seconds = import_seconds(shop, tree)
    volume, anchor = shop.create(), ("--anchor", shop.path("anchor"))
    for number in range(ROUNDS // 2):
        kill_after(shop.start("import", *anchor, volume, tree), shop.random.uniform(0, seconds))
        result = shop.call("verify", *anchor, volume)
        assert result.returncode == 0, "after kill %d: %s" % (number, describe(result))
    expect(shop.call("import", *anchor, volume, tree))
    expect(shop.call("diff", *anchor, volume, tree), 0, b"")


def case_killed_create_is_told_from_a_volume(shop):
    shop.make_key()
    for number in range(ROUNDS):
        path = shop.path("v%d" % number)
        kill_after(shop.start("create", "--journal", "64M", path), shop.random.uniform(0, 0.1))
        result = shop.call("info", path)
        assert result.returncode in (0, 1, 125), describe(result)
        assert result.returncode == 0 or path.encode() in result.stderr, describe(result)


def case_killed_compact_leaves_everything(shop):
    tree = make_tree(shop)
    volume = shop.volume_of(tree)
    shop.file("hole/large-0", b"")
    shop.file("hole/large-1", b"")
    full = shop.copy(volume, shop.path("full"))
    expect(shop.call("import", full, shop.path("hole")))
    expect(shop.call("export", full, shop.path("before")))
    before = snapshot(shop.path("before"))
    for number in range(4):
        copy = shop.copy(full, shop.path("copy"))
        kill_after(shop.start("compact", copy), shop.random.uniform(0, 0.4))
        expect(shop.call("verify", copy))
        expect(shop.call("export", copy, shop.path("after-%d" % number)))
        assert snapshot(shop.path("after-%d" % number)) == before
