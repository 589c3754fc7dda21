"""Bytes that changed, are missing, or are those of another place or time: told, never returned, never a crash."""
import os
import shutil

from trees import snapshot, write
from workshop import describe, expect, expect_no_crash, expect_refusal

FLIPS, EXPORTS = 100, 20


def changed_copy(shop, volume, change):
    """A copy of the volume whose bytes `change` (a function of the open file) has worked on."""
    target = shop.copy(volume, shop.path("damaged"))
    with open(target, "r+b") as file:
        change(file)
    return target


def flip(offset, mask):
    def change(file):
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))

    return change


def interesting_offsets(shop, volume, count):
    """Half in the first pages, where the structure begins; half anywhere that holds something."""
    size = os.stat(volume).st_size
    with open(volume, "rb") as file:
        content = file.read()
    offsets = [shop.random.randrange(min(size, 16384)) for _ in range(count // 2)]
    while len(offsets) < count:
        offset = shop.random.randrange(size)
        if any(content[offset // 4096 * 4096:offset // 4096 * 4096 + 4096]):
            offsets.append(offset)
    return offsets


def expect_only_true_contents(shop, volume, original):
    """Whatever can be exported of a damaged volume is what was put in."""
    out = shop.path("out")
    shutil.rmtree(out, ignore_errors=True)
    expect_no_crash(shop.call("export", volume, out))
    if not os.path.isdir(out):
        return
    for name, facts in snapshot(out).items():
        if "content" in facts:
            assert facts["content"] == original[name]["content"], "%r has other contents than were put in" % name
        if "target" in facts:
            assert facts["target"] == original[name]["target"], name


def case_flipped_bits_are_told_or_do_no_harm(shop):
    tree = shop.odd_tree()
    original = snapshot(tree)
    volume = shop.volume_of(tree)
    detected = 0
    for number, offset in enumerate(interesting_offsets(shop, volume, FLIPS)):
        damaged = changed_copy(shop, volume, flip(offset, 1 << shop.random.randrange(8)))
        result = expect_no_crash(shop.call("verify", damaged))
        assert result.returncode != 125, "offset %d: %s" % (offset, describe(result))
        detected += result.returncode
        if result.returncode == 0:
            expect(shop.call("diff", damaged, tree), 0, b"")
        elif number < 2 * EXPORTS and number % 2 == 0 or number >= FLIPS - EXPORTS // 2:
            expect_only_true_contents(shop, damaged, original)
    assert detected > FLIPS // 4, "only %d of %d flips were noticed: this test sees nothing" % (detected, FLIPS)


def case_damaged_file_is_named_and_the_others_survive(shop):
    tree = shop.small_tree()
    write(tree + "/directory/large", shop.random.randbytes(8 << 20))
    volume = shop.volume_of(tree)
    size = os.stat(volume).st_size
    # Most of the volume is this file: the middle of its upper half is in it.
    damaged = changed_copy(shop, volume, flip(size - (2 << 20), 0x10))
    result = shop.call("verify", damaged)
    assert b"large" in expect(result, 1).stdout, describe(result)
    result = shop.call("cat", damaged, "/directory/large")
    assert result.returncode == 1 and len(result.stdout) < 8 << 20, result.returncode
    result = shop.call("export", damaged, shop.path("out"))
    assert b"large" in expect(result, 1).stderr, describe(result)
    assert not os.path.exists(shop.path("out", "directory", "large")), "half a file must not pass for the file"
    with open(shop.path("out", "hello"), "rb") as file:
        assert file.read() == b"hello, volume\n"


def case_truncated_volume_is_told(shop):
    tree = shop.small_tree()
    write(tree + "/directory/large", shop.random.randbytes(4 << 20))
    volume = shop.volume_of(tree)
    size = os.stat(volume).st_size
    for length in [0, 1, 100, 4095, 4096, 8192, 65536, size // 2, size - (2 << 20)]:
        damaged = changed_copy(shop, volume, lambda file: file.truncate(length))
        result = expect_no_crash(shop.call("verify", damaged))
        assert result.returncode == 1, "length %d of %d: %s" % (length, size, describe(result))
    refusal = changed_copy(shop, volume, lambda file: file.truncate(4096))
    expect_refusal(shop.call("info", refusal), 1, refusal)


def case_swapped_pages_are_told(shop):
    tree = shop.path("tree")
    os.mkdir(tree)
    for name in ("a", "b"):
        write(os.path.join(tree, name), shop.random.randbytes(4 << 20))
    original = snapshot(tree)
    volume = shop.volume_of(tree)
    size = os.stat(volume).st_size // 4096

    def swap(first, second):
        def change(file):
            pages = []
            for page in (first, second):
                file.seek(page * 4096)
                pages.append(file.read(4096))
            for page, content in zip((second, first), pages):
                file.seek(page * 4096)
                file.write(content)

        return change

    noticed = 0
    for _ in range(15):
        first, second = shop.random.sample(range(size // 2, size), 2)
        damaged = changed_copy(shop, volume, swap(first, second))
        noticed += expect_no_crash(shop.call("verify", damaged)).returncode
        expect_only_true_contents(shop, damaged, original)
    assert noticed >= 8, "only %d of 15 swaps were noticed" % noticed


def case_page_of_an_older_state_is_told(shop):
    """A host that puts back single pages, not the whole volume."""
    tree = shop.path("tree")
    os.mkdir(tree)
    write(tree + "/a", b"old" * 100000)
    volume = shop.volume_of(tree)
    old = shop.copy(volume, shop.path("old"))
    write(tree + "/a", b"new" * 100000)
    expect(shop.call("import", volume, tree))
    original = snapshot(tree)
    with open(volume, "rb") as file, open(old, "rb") as old_file:
        new_bytes, old_bytes = file.read(), old_file.read()
    differing = [page for page in range(len(old_bytes) // 4096)
                 if new_bytes[page * 4096:page * 4096 + 4096] != old_bytes[page * 4096:page * 4096 + 4096]]
    assert differing
    for page in shop.random.sample(differing, min(25, len(differing))):
        def put_back(file):
            file.seek(page * 4096)
            file.write(old_bytes[page * 4096:page * 4096 + 4096])

        damaged = changed_copy(shop, volume, put_back)
        expect_no_crash(shop.call("verify", damaged))
        expect_only_true_contents(shop, damaged, original)


def case_garbage_behind_the_volume_does_no_harm(shop):
    tree = shop.small_tree()
    volume = shop.volume_of(tree)
    longer = changed_copy(shop, volume, lambda file: (file.seek(0, 2), file.write(shop.random.randbytes(100000))))
    result = expect_no_crash(shop.call("verify", longer))
    if result.returncode == 0:
        expect(shop.call("diff", longer, tree), 0, b"")
