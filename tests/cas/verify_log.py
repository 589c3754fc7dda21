#!/usr/bin/python3
"""Verifies an exported log or a receipt. Written from docs/formats/log.md alone; nothing but the standard library.

    verify_log.py LOG-ID FILE [OLDER-HEAD]        exit code 0 and "verified", or 1 and the reason
"""
import base64
import hashlib
import sys

# --- Ed25519 (RFC 8032, 5.1)
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a, b):
    (x, y), (u, v) = a, b
    k = D * x * y * u * v
    return (x * v + u * y) * pow(1 + k, -1, P) % P, (y * v + x * u) * pow(1 - k, -1, P) % P


def multiply(n, point):
    result = (0, 1)
    while n:
        result, point, n = (add(result, point) if n & 1 else result), add(point, point), n >> 1
    return result


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square and y < P, "not a point of the curve"
    return (x if x & 1 == sign else P - x), y


BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def check_signature(key, message, signature, what):
    s = int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    good = len(signature) == 64 and s < L and multiply(s, BASE) == add(point(signature[:32]), multiply(k, point(key)))
    assert good, what + " is not signed by the right key"


# --- hashes, entries
def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves):
    """Of a list of leaf hashes; level by level, an odd last node goes up as it is."""
    while len(leaves) > 1:
        pairs = [sha(b"\1", a, b) for a, b in zip(leaves[::2], leaves[1::2])]
        leaves = pairs + leaves[len(pairs) * 2:]
    return leaves[0] if leaves else sha()


def cbor(data, at=0):
    """(value, where the next begins); arguments must be as short as they can be."""
    major, n = data[at] >> 5, data[at] & 31
    at += 1
    if n > 23:
        assert n < 28, "indefinite length"
        size = 1 << n - 24
        n, at = int.from_bytes(data[at:at + size], "big"), at + size
        assert at <= len(data) and n >= (24 if size == 1 else 1 << 4 * size), "length not shortest"
    if major in (2, 3):
        assert at + n <= len(data), "cut off"
        return (data[at:at + n] if major == 2 else data[at:at + n].decode()), at + n
    if major in (4, 5):
        items = []
        for _ in range(n * (major - 3)):
            item, at = cbor(data, at)
            items.append(item)
        assert major == 4 or items[::2] == sorted(set(items[::2])), "keys out of order"
        return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at
    assert major == 0, "unexpected type"
    return n, at


def entry_of(data):
    value, end = cbor(data)
    assert end == len(data) and value[1] == 1, "not an entry of version 1"
    return value


# --- heads and keys
def read_keys(lines, log_id):
    assert lines[0].startswith("key ")
    keys = [(-1, bytes.fromhex(lines.pop(0)[4:]), b"")]
    assert sha(b"casemate log id v1\n", keys[0][1]) == log_id, "another log"
    while lines[0].startswith("next-key "):
        index, key, signature = lines.pop(0).split(" ")[1:]
        index, key, signature = int(index), bytes.fromhex(key), bytes.fromhex(signature)
        assert index > max(0, keys[-1][0]), "keys out of order"
        statement = b"casemate log key v1\n" + log_id + index.to_bytes(8, "big") + key
        check_signature(keys[-1][1], statement, signature, "a key")
        keys.append((index, key, signature))
    return keys


def base64_bytes(text):
    value = base64.b64decode(text, validate=True)
    assert base64.b64encode(value).decode() == text, "base64 in an unusual form"
    return value


def read_head(note, keys, log_id):
    body, signatures = note.split("\n\n", 1)
    origin, size, head_root, time, epoch = body.split("\n")
    assert origin == "casemate/log/" + log_id.hex() and time[:5] == "time " and epoch[:6] == "epoch "
    key = [key for index, key, _ in keys if index < int(size)][-1]
    key_id = sha(origin.encode(), b"\n\x01", key)[:4]
    marks = [line.split(" ") for line in signatures.splitlines()]
    mine = [base64_bytes(text) for dash, name, text in marks if dash == "\u2014" and name == origin]
    mine = [mark[4:] for mark in mine if mark[:4] == key_id]
    assert mine, "the head is not signed by the key of its size"
    check_signature(key, (body + "\n").encode(), mine[0], "the head")
    return int(size), base64_bytes(head_root), int(time[5:]), int(epoch[6:])


# --- the two kinds of files
def verify_export(lines, note, log_id, older):
    keys = read_keys(lines, log_id)
    size, head_root, head_time, head_epoch = read_head(note, keys, log_id)
    leaves, time, epoch, listed = [], 0, 0, keys[1:]
    for index, line in enumerate(lines):
        word, leaf, *disclosed = line.split(" ")
        assert word == "leaf" and len(leaf) == 64
        assert disclosed or index > 0, "the first entry is withheld"
        if disclosed:
            salt, data = map(bytes.fromhex, disclosed)
            assert len(salt) == 32 and sha(b"\0", salt, data).hex() == leaf, "entry %d: wrong hash" % index
            entry = entry_of(data)
            assert (entry[2] == 1) == (index == 0) and (index or entry[10] == keys[0][1]), "not created like this"
            assert entry[3] >= time, "entry %d: time falls" % index
            if entry[2] == 8:
                assert entry[4] > epoch and entry[11] == index and entry[12] == root(leaves), "a false epoch"
            else:
                assert index == 0 or entry[4] == epoch, "entry %d: wrong epoch" % index
            if entry[2] == 5 and entry[10] == "log":
                assert listed and listed.pop(0) == (index, entry[13], entry[14]), "entry %d: unlisted key" % index
            time, epoch = entry[3], entry[4]
        leaves.append(bytes.fromhex(leaf))
    assert not listed, "a listed key is not in the log"
    assert (len(leaves), root(leaves)) == (size, head_root), "the leaves do not give the signed root"
    assert head_time >= time and head_epoch == epoch, "time or epoch of the head"
    if older:
        old_size, old_root = read_head(older, keys, log_id)[:2]
        assert old_size <= size and root(leaves[:old_size]) == old_root, "does not continue the older head"


def verify_receipt(lines, note, log_id):
    keys = read_keys(lines, log_id)
    size, head_root = read_head(note, keys, log_id)[:2]
    index, salt, data = (line.split(" ")[1] for line in lines[:3])
    index, data = int(index), bytes.fromhex(data)
    entry_of(data)
    assert index < size, "not in the log"
    value, node, last = sha(b"\0", bytes.fromhex(salt), data), index, size - 1
    for line in lines[3:]:
        assert line.startswith("path ") and last, "wrong path"
        other = bytes.fromhex(line[5:])
        if node & 1 or node == last:
            value = sha(b"\1", other, value)
            while not node & 1:
                node, last = node >> 1, last >> 1
        else:
            value = sha(b"\1", value, other)
        node, last = node >> 1, last >> 1
    assert last == 0 and value == head_root, "the entry is not in the log"


def main(log_id, path, older=None):
    with open(path, encoding="utf-8", newline="") as file:
        text, note = file.read().split("\nhead\n", 1)
    title, *lines = text.split("\n")
    if title == "casemate-log-export v1":
        verify_export(lines, note, bytes.fromhex(log_id), older and open(older, encoding="utf-8").read())
    else:
        assert title == "casemate-log-receipt v1", "neither an export nor a receipt"
        verify_receipt(lines, note, bytes.fromhex(log_id))
    print("verified")


if __name__ == "__main__":
    if not __debug__:
        sys.exit("not with -O: the checks are assertions")
    try:
        main(*sys.argv[1:])
    except (AssertionError, ValueError, KeyError, IndexError, TypeError) as reason:
        sys.exit("not verified: %s" % (reason or type(reason).__name__))
