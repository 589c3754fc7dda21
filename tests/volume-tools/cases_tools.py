"""The rest of the tools: info, ls, cat, grow, compact, rekey, seal, and documents for programs."""
import json
import os

from workshop import describe, expect, expect_refusal


def case_info_tells_what_a_volume_is(shop):
    volume = shop.create("v", "--size", "256M", "--journal", "1M", "--label", "accounts")
    facts = shop.json("info", volume)
    assert (facts["label"], facts["sealed"], facts["maximum_size"]) == ("accounts", False, 256 << 20), facts
    assert facts["store_size"] == os.stat(volume).st_size
    text = expect(shop.call("info", volume)).stdout
    for word in (b"accounts", facts["volume_id"].encode(), facts["position"].encode()):
        assert word in text, text


def case_ls_lists_names_in_order_and_odd_ones_safely(shop):
    volume = shop.volume_of(shop.odd_tree())
    names = expect(shop.call("ls", volume, "/names")).stdout.decode().split("\n")
    assert names[-1] == "" and len(names) == 16, names
    for name in ("new\\nline", "\\xff\\xfe", "back\\\\slash", "Grüße 日本 🙂", "\\x1b[31mred"):
        assert name in names, (name, names)
    entries = {entry["path"]: entry for entry in shop.json("ls", volume, "/names")}
    assert bytes.fromhex(entries["\\xff\\xfe"]["path_hex"]) == b"\xff\xfe"
    assert "new\nline" in entries


def case_ls_shows_attributes_and_recurses(shop):
    volume = shop.volume_of(shop.odd_tree())
    text = expect(shop.call("ls", "-l", volume)).stdout.decode()
    assert "-rwsr-xr-x" in text and "prw-r-----" in text and "dangling -> plain-target" in text, text[-3000:]
    listed = expect(shop.call("ls", "-R", volume)).stdout.count(b"\n")
    expected = sum(len(folders) + len(files) for _, folders, files in os.walk(shop.path("odd")))
    assert listed == expected, (listed, expected)
    assert expect(shop.call("ls", volume, "/dangling")).stdout == b"dangling\n"


def case_cat_follows_links_inside_of_the_volume_only(shop):
    tree = shop.small_tree()
    os.symlink("/hello", tree + "/absolute")
    os.symlink("../../../../directory/../hello", tree + "/relative")
    os.symlink("/etc/passwd", tree + "/outside")
    os.symlink("a", tree + "/b")
    os.symlink("b", tree + "/a")
    volume = shop.volume_of(tree)
    for name in ("absolute", "relative"):
        assert expect(shop.call("cat", volume, name)).stdout == b"hello, volume\n"
    expect_refusal(shop.call("cat", volume, "outside"), 1, "outside")
    expect_refusal(shop.call("cat", volume, "a"), 1, "symbolic links")


def case_full_volume_says_grow_and_grows(shop):
    volume = shop.create("v", "--size", "24M", "--journal", "1M")
    shop.file("tree/large", shop.random.randbytes(30 << 20))
    result = shop.call("import", volume, shop.path("tree"))
    assert result.returncode in (1, 125), describe(result)
    assert b"grow" in result.stderr or b"full" in result.stderr or b"No space" in result.stderr, describe(result)
    expect(shop.call("verify", volume))
    expect(shop.call("grow", "--size", "128M", volume))
    expect(shop.call("import", volume, shop.path("tree")))
    expect(shop.call("diff", volume, shop.path("tree")), 0, b"")
    expect_refusal(shop.call("grow", "--size", "1M", volume), (1, 2), volume)


def case_compact_gives_space_back_and_changes_nothing(shop):
    volume = shop.create()
    shop.file("big/big", shop.random.randbytes(40 << 20))
    shop.file("empty/big", b"")
    tree = shop.odd_tree()
    expect(shop.call("import", volume, shop.path("big")))
    expect(shop.call("import", volume, tree))
    expect(shop.call("import", volume, shop.path("empty")))
    before = os.stat(volume).st_size
    expect(shop.call("compact", volume))
    after = os.stat(volume).st_size
    assert after < before - (30 << 20), (before, after)
    expect(shop.call("verify", volume))
    other = [entry for entry in shop.json("diff", volume, tree) if entry["path"] not in (".", "big")]
    assert not other, other[:5]


def case_rekey_copies_everything_under_another_key(shop):
    tree = shop.odd_tree()
    old = shop.volume_of(tree, "old")
    new, new_key = shop.path("new"), shop.path("new-key")
    expect(shop.call("rekey", "--new-key-file", new_key, old, new))
    assert os.stat(new_key).st_mode & 0o777 == 0o600
    expect(shop.call("diff", new, tree, key=new_key), 0, b"")
    expect(shop.call("diff", "--other-key-file", new_key, old, new), 0, b"")
    expect_refusal(shop.call("info", new), 1, "key")
    expect(shop.call("diff", old, tree), 0, b"")
    assert shop.json("info", old)["volume_id"] != shop.json("info", new, key=new_key)["volume_id"]
    expect_refusal(shop.call("rekey", "--new-key-file", new_key, old, new), 1, "exists")


def case_sealed_volume_is_read_only_and_has_one_name(shop):
    volume = shop.volume_of(shop.small_tree())
    tag = expect(shop.call("seal", volume)).stdout.decode().strip()
    assert len(bytes.fromhex(tag)) == 32
    facts = shop.json("info", volume)
    assert (facts["sealed"], facts["root_tag"]) == (True, tag), facts
    expect_refusal(shop.call("import", volume, shop.path("tree")), (1, 2, 125), volume, "sealed")
    expect(shop.call("diff", volume, shop.path("tree")), 0, b"")
    expect(shop.call("verify", volume))


def case_verify_reports_for_programs(shop):
    volume = shop.volume_of(shop.small_tree())
    report = shop.json("verify", volume)
    assert report["ok"] is True and report["problems"] == [] and report["data_bytes"] >= 300000, report
    wrong = shop.call("verify", "--json", volume, key=shop.make_key("other"))
    assert json.loads(expect(wrong, 1).stdout)["ok"] is False


def case_progress_is_told_where_no_terminal_is(shop):
    tree = shop.small_tree()
    volume = shop.create()
    result = shop.raw("import", "--key-file", shop.key, "--progress", volume, tree)
    assert b"import: " in expect(result).stderr, describe(result)
    silent = shop.call("import", volume, tree)
    expect(silent, 0, b"", b"")


def case_manifest_names_a_directory_by_one_digest(shop):
    tree = shop.small_tree()
    first = expect(shop.raw("manifest", "-o", shop.path("m1"), tree)).stdout
    again = expect(shop.raw("manifest", "-o", shop.path("m2"), tree)).stdout
    assert first.split()[0] == again.split()[0] and len(first.split()[0]) == 64, (first, again)
    shop.file("tree/hello", b"hello, Volume\n")
    changed = expect(shop.raw("manifest", "-o", shop.path("m3"), tree)).stdout
    assert changed.split()[0] != first.split()[0]
