"""Words and files that make no sense: one line that names what is wrong, and the right exit code."""
import os

from workshop import describe, expect, expect_refusal


def case_words_that_make_no_sense_exit_with_2(shop):
    shop.make_key()
    for words in ([], ["fly"], ["create"], ["create", "--key-file", shop.key], ["create", "--bogus", "v"],
                  ["create", "--key-file"], ["info", "a", "b"], ["import", "--key-file", shop.key, "v"],
                  ["create", "--key-file", shop.key, "--size", "many", "v"], ["ls", "--key-fd", "x", "v"], ["key"]):
        expect_refusal(shop.raw(*words), 2)
        assert not os.path.exists(shop.path("v")), words


def case_help_lists_every_command_and_explains_each(shop):
    text = expect(shop.raw("--help"), 0, stderr=b"").stdout.decode()
    for command in ("key", "create", "info", "ls", "cat", "import", "export", "verify", "diff", "grow", "compact", "rekey",
                    "seal", "anchor", "accept", "manifest"):
        assert "\n  %s " % command in text, command
        own = expect(shop.raw(command, "--help"), 0, stderr=b"").stdout.decode()
        assert "casemate volume " + command in own, own
    top = shop.execute([shop.casemate, "--help"])
    assert b"volume" in expect(top).stdout


def case_without_a_key_the_message_says_how_to_make_one(shop):
    expect_refusal(shop.raw("info", "v"), 2, "--key-file", "volume key")


def case_key_file_is_private_and_never_replaced(shop):
    key = shop.make_key()
    assert os.stat(key).st_mode & 0o777 == 0o600
    with open(key, "rb") as file:
        content = file.read()
    expect_refusal(shop.raw("key", "-o", key), (1, 125), key)
    with open(key, "rb") as file:
        assert file.read() == content
    shop.make_key("key2")
    assert shop.read("key2") != content


def case_key_that_others_can_read_is_refused(shop):
    volume = shop.create()
    os.chmod(shop.key, 0o644)
    expect_refusal(shop.call("info", volume), (1, 2, 125), shop.key, "chmod")


def case_key_of_the_wrong_size_or_kind_is_refused(shop):
    volume = shop.create()
    for name, content in (("empty", b""), ("short", b"x" * 31), ("text", b"my passphrase\n"), ("odd", b"0" * 63)):
        path = shop.file(name, content, 0o600)
        expect_refusal(shop.call("info", volume, key=path), (1, 2, 125), path)
    expect_refusal(shop.call("info", volume, key=shop.directory), (1, 2, 125), shop.directory)
    expect_refusal(shop.call("info", volume, key=shop.path("missing")), (1, 2, 125), "missing")


def case_key_comes_through_a_descriptor(shop):
    volume = shop.create()
    with open(shop.key, "rb") as file:
        content = file.read()
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    result = shop.raw("info", "--quiet", "--key-fd", str(reader), volume, pass_fds=[reader])
    os.close(reader)
    expect(result, 0, stderr=b"")
    expect_refusal(shop.raw("info", "--quiet", "--key-fd", "99", volume), (1, 2, 125), "99")


def case_no_key_is_ever_printed(shop):
    volume = shop.volume_of(shop.small_tree())
    with open(shop.key, "rb") as file:
        secret = file.read().strip()
    for words in (["info", volume], ["ls", "-R", volume], ["verify", volume], ["diff", volume, shop.path("tree")],
                  ["info", shop.key]):
        result = shop.call(*words)
        for output in (result.stdout, result.stderr):
            assert secret not in output and secret.lower() not in output.lower(), words


def case_wrong_key_is_named(shop):
    volume = shop.volume_of(shop.small_tree())
    other = shop.make_key("other")
    for words in (["info", volume], ["verify", volume], ["cat", volume, "hello"], ["import", volume, shop.path("tree")]):
        expect_refusal(shop.call(*words, key=other), 1, volume, "key")


def case_what_is_no_volume_is_named(shop):
    shop.make_key()
    files = {"empty": b"", "zeros": bytes(1 << 20), "text": b"This is a letter.\n" * 5000, "one": b"\0"}
    for name, content in files.items():
        path = shop.file(name, content)
        expect_refusal(shop.call("info", path), 1, path)
        expect_refusal(shop.call("verify", path), 1, path)
    expect_refusal(shop.call("info", shop.path("missing")), (1, 125), "missing", "No such file|does not exist")
    expect_refusal(shop.call("info", shop.directory), (1, 2, 125), shop.directory)
    os.mkfifo(shop.path("fifo"))
    expect_refusal(shop.call("info", shop.path("fifo")), (1, 2, 125), "fifo")


SUPERBLOCKS, VERSION_PLACE = (0, 16 * 4096), 8  # docs/formats/volume.md


def case_newer_format_is_named(shop):
    volume = shop.volume_of(shop.small_tree())
    with open(volume, "r+b") as file:
        for place in SUPERBLOCKS:
            file.seek(place + VERSION_PLACE)
            file.write((999).to_bytes(4, "little"))
    for words in (["info", volume], ["import", volume, shop.path("tree")]):
        expect_refusal(shop.call(*words), 1, volume, "newer", "999")


def case_half_upgraded_volume_is_whole_or_refused(shop):
    """One superblock of a newer format: what an upgrade that was cut off leaves."""
    volume = shop.volume_of(shop.small_tree())
    for place in SUPERBLOCKS:
        half = shop.copy(volume, shop.path("half"))
        with open(half, "r+b") as file:
            file.seek(place + VERSION_PLACE)
            file.write((999).to_bytes(4, "little"))
        result = shop.call("diff", half, shop.path("tree"))
        assert result.returncode in (0, 1), describe(result)
        if result.returncode == 1:
            expect_refusal(result, 1, half)


def case_absurd_sizes_are_refused_and_leave_no_file(shop):
    shop.make_key()
    for options in (["--size", "0"], ["--size", "1"], ["--size", "4096"], ["--size", "17179869183G"],
                    ["--size", "18446744073709551615"], ["--journal", "0"], ["--journal", "1"],
                    ["--journal", "17179869183G"], ["--size", "64M", "--journal", "65M"],
                    ["--size", "99999999999999999999"], ["--label", "x" * 65]):
        expect_refusal(shop.call("create", *options, shop.path("v")), (1, 2))
        assert not os.path.exists(shop.path("v")), options


def case_existing_files_are_never_overwritten_by_create(shop):
    shop.make_key()
    path = shop.file("precious", b"data")
    expect_refusal(shop.call("create", path), 1, path, "exists")
    with open(path, "rb") as file:
        assert file.read() == b"data"
    os.symlink("nowhere", shop.path("link"))
    expect_refusal(shop.call("create", shop.path("link")), 1, "link")
    assert not os.path.exists(shop.path("nowhere"))


def case_create_in_a_missing_directory_leaves_no_key_behind(shop):
    key = shop.path("fresh")
    expect_refusal(shop.raw("create", "--quiet", "--new-key-file", key, shop.path("missing", "v")), (1, 125), "missing")
    assert not os.path.exists(key)


def case_missing_and_unfit_paths_in_a_volume_are_named(shop):
    volume = shop.volume_of(shop.small_tree())
    expect_refusal(shop.call("cat", volume, "/nothing"), 1, "/nothing")
    expect_refusal(shop.call("cat", volume, "/directory"), 1, "/directory", "regular file")
    expect_refusal(shop.call("cat", volume, "/hello/x"), 1, "/hello/x")
    expect_refusal(shop.call("ls", volume, "/nothing"), 1, "/nothing")
    expect_refusal(shop.call("export", volume, shop.path("out"), "/nothing"), 1, "/nothing")
    expect_refusal(shop.call("import", volume, shop.path("missing")), (1, 125), "missing")
    expect_refusal(shop.call("import", "--into", "/hello", volume, shop.path("tree")), 1, "/hello", "directory")
    assert not os.path.exists(shop.path("out"))


def case_freshness_that_is_not_checked_is_said(shop):
    volume = shop.volume_of(shop.small_tree())
    result = shop.raw("info", "--key-file", shop.key, volume)
    assert b"freshness" in expect(result).stderr and b"--anchor" in result.stderr, result.stderr
    expect(shop.raw("info", "--key-file", shop.key, "--anchor", shop.path("anchor"), volume), 0)
