"""What goes in comes out: names, contents, attributes, links, holes. And nothing of it can be read without the key."""
import os
import shutil
import subprocess

from trees import differences, expect_same, snapshot, write
from workshop import describe, expect


def export(shop, volume, name="out", *words):
    target = shop.path(name)
    expect(shop.call("export", volume, target, *words), 0, b"", b"")
    return target


def case_odd_tree_comes_back_as_it_was(shop):
    tree = shop.odd_tree()
    before = snapshot(tree)
    volume = shop.volume_of(tree)
    lines = differences(before, snapshot(tree))
    assert not lines, "import changed its source: %s" % lines[:5]
    expect_same(tree, export(shop, volume))
    expect(shop.call("verify", volume))
    expect(shop.call("diff", volume, tree), 0, b"")


def case_documentation_of_this_machine_comes_back_as_it_was(shop):
    tree = shop.path("doc")
    os.mkdir(tree)
    size = 0
    for name in sorted(os.listdir("/usr/share/doc")):
        source = os.path.join("/usr/share/doc", name)
        if not os.path.isdir(source) or os.path.islink(source):
            continue
        shutil.copytree(source, os.path.join(tree, name), symlinks=True)
        size += sum(os.lstat(os.path.join(folder, file)).st_size for folder, _, files in os.walk(tree + "/" + name)
                    for file in files)
        if size > 20 << 20:
            break
    volume = shop.volume_of(tree)
    expect_same(tree, export(shop, volume))


def case_holes_stay_holes(shop):
    tree = shop.path("tree")
    os.mkdir(tree)
    with open(tree + "/sparse", "wb") as file:
        file.truncate(1 << 30)
        file.seek(512 << 20)
        file.write(b"x")
    volume = shop.volume_of(tree)
    assert os.stat(volume).st_size < 32 << 20, "the volume has %d bytes" % os.stat(volume).st_size
    out = export(shop, volume)
    assert os.stat(out + "/sparse").st_blocks * 512 < 1 << 20
    expect_same(tree, out)


def case_second_import_merges_and_replaces(shop):
    tree = shop.small_tree()
    volume = shop.volume_of(tree)
    shop.file("more/directory/added", b"added")
    shop.file("more/hello", b"replaced")
    expect(shop.call("import", volume, shop.path("more")))
    assert expect(shop.call("cat", volume, "/hello")).stdout == b"replaced"
    assert expect(shop.call("cat", volume, "/directory/added")).stdout == b"added"
    with open(tree + "/directory/large", "rb") as file:
        assert expect(shop.call("cat", volume, "/directory/large")).stdout == file.read()
    expect(shop.call("verify", volume))


def case_import_twice_changes_nothing(shop):
    tree = shop.odd_tree()
    volume = shop.volume_of(tree)
    expect(shop.call("import", volume, tree))
    expect(shop.call("diff", volume, tree), 0, b"")
    expect(shop.call("verify", volume))


def case_import_goes_below_a_path_that_it_makes(shop):
    volume = shop.create()
    expect(shop.call("import", "--into", "/srv/data", volume, shop.small_tree()))
    assert expect(shop.call("cat", volume, "srv/data/hello")).stdout == b"hello, volume\n"
    out = export(shop, volume, "part", "/srv/data")
    expect_same(shop.path("tree"), out)


def case_one_file_can_be_exported(shop):
    volume = shop.volume_of(shop.small_tree())
    out = export(shop, volume, "out", "/directory/large")
    assert os.listdir(out) == ["large"]


def case_conflicting_types_are_told_and_the_rest_goes_in(shop):
    volume = shop.volume_of(shop.small_tree())
    shop.file("more/directory", b"a file where a directory is")
    shop.file("more/zebra", b"z")
    result = shop.call("import", volume, shop.path("more"))
    assert b"directory: " in expect(result, 1).stderr, describe(result)
    assert expect(shop.call("cat", volume, "zebra")).stdout == b"z"
    expect(shop.call("verify", volume))


def case_unreadable_files_are_told_and_left_out(shop):
    if os.geteuid() != 0:
        return
    tree = shop.small_tree()
    write(tree + "/secret", b"s")
    os.chmod(tree + "/secret", 0)
    volume = shop.create()
    os.chmod(shop.directory, 0o777)
    for path in (volume, shop.key):
        os.chown(path, 65534, 65534)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
               *shop.command("import", "--quiet", "--key-file", shop.key, volume, tree)]
    result = shop.execute(command)
    assert b"secret: " in expect(result, 1).stderr, describe(result)
    os.chown(shop.key, 0, 0)
    names = expect(shop.call("ls", volume)).stdout.split(b"\n")
    assert b"hello" in names and b"secret" not in names, names


def case_volume_inside_of_its_own_source_is_left_out(shop):
    tree = shop.small_tree()
    volume = shop.create("tree/volume")
    result = shop.call("import", volume, tree)
    assert b"volume itself" in expect(result, 1).stderr
    assert b"volume" not in expect(shop.call("ls", volume)).stdout.split(b"\n")


def case_export_replaces_nothing_without_being_told(shop):
    volume = shop.volume_of(shop.small_tree())
    shop.file("out/hello", b"mine")
    result = shop.call("export", volume, shop.path("out"))
    assert b"hello: exists" in expect(result, 1).stderr and b"--overwrite" in result.stderr, describe(result)
    with open(shop.path("out", "hello"), "rb") as file:
        assert file.read() == b"mine"
    assert os.path.exists(shop.path("out", "directory", "large"))
    expect(shop.call("export", "--overwrite", volume, shop.path("out")), 0, b"", b"")
    expect_same(shop.path("tree"), shop.path("out"))


def case_export_never_writes_through_links(shop):
    volume = shop.volume_of(shop.small_tree())
    os.makedirs(shop.path("outside"))
    shop.file("victim", b"untouched")
    os.makedirs(shop.path("out"))
    os.symlink(shop.path("outside"), shop.path("out", "directory"))
    os.symlink(shop.path("victim"), shop.path("out", "hello"))
    result = shop.call("export", volume, shop.path("out"))
    assert b"directory: " in expect(result, 1).stderr, describe(result)
    result = shop.call("export", "--overwrite", volume, shop.path("out"))
    assert os.listdir(shop.path("outside")) == []
    with open(shop.path("victim"), "rb") as file:
        assert file.read() == b"untouched"
    assert not os.path.islink(shop.path("out", "hello")), "--overwrite replaces the link itself"


def case_differences_are_all_told(shop):
    tree = shop.odd_tree()
    volume = shop.volume_of(tree)
    changes = {
        "mode": lambda: os.chmod(tree + "/mode-0755", 0o750),
        "contents": lambda: write(tree + "/private/size-4096", b"\1" * 4096),
        "size": lambda: write(tree + "/private/size-1", b"12"),
        "missing": lambda: os.unlink(tree + "/private/size-0"),
        "target": lambda: (os.unlink(tree + "/dangling"), os.symlink("elsewhere", tree + "/dangling")),
        "modify-time": lambda: os.utime(tree + "/private/size-4097", (1, 1)),
        "extended-attributes": lambda: os.setxattr(tree + "/attributed", "user.plain", b"other"),
        "hard-link": lambda: (os.unlink(tree + "/second-name"), write(tree + "/second-name", b"one file, three names")),
        "type": lambda: (os.unlink(tree + "/fifo"), write(tree + "/fifo", b"")),
    }
    if os.geteuid() == 0:
        changes["owner"] = lambda: os.chown(tree + "/private/size-100000", 5, 6)
    for kind, change in changes.items():
        change()
        found = {entry["kind"] for entry in shop.json("diff", volume, tree)}
        assert kind in found, "%s is missing in %r" % (kind, found)
    result = shop.call("diff", volume, tree)
    assert b"mode-0755: mode: 0755 in" in expect(result, 1).stdout, result.stdout[-2000:]


def case_two_volumes_can_be_compared(shop):
    first = shop.volume_of(shop.small_tree(), "first")
    second = shop.volume_of(shop.path("tree"), "second")
    expect(shop.call("diff", first, second), 0, b"")
    shop.file("more/extra", b"e")
    expect(shop.call("import", second, shop.path("more")))
    kinds = {(entry["path"], entry["kind"]) for entry in shop.json("diff", first, second)}
    assert ("extra", "missing") in kinds, kinds


MARKERS = [b"MARKER-of-contents", b"MARKER-of-name", b"MARKER-of-target", b"MARKER-of-attribute", b"MARKER-of-value",
           b"MARKER-of-directory", b"MARKER-of-label"]


def case_nothing_can_be_read_without_the_key(shop):
    tree = shop.path("tree")
    os.makedirs(tree + "/MARKER-of-directory")
    write(tree + "/MARKER-of-name", b"MARKER-of-contents\n" * 20000)
    write(tree + "/MARKER-of-directory/tiny", b"MARKER-of-contents")
    os.symlink("MARKER-of-target", tree + "/link")
    os.setxattr(tree + "/MARKER-of-name", "user.MARKER-of-attribute", b"MARKER-of-value")
    shop.make_key()
    volume = shop.create("volume", "--size", "256M", "--journal", "1M", "--label", "MARKER-of-label")
    expect(shop.call("import", "--anchor", shop.path("anchor"), volume, tree))
    control = subprocess.run(["tar", "-C", tree, "--xattrs", "-c", "."], stdout=subprocess.PIPE, check=True).stdout
    with open(volume, "rb") as file:
        ciphertext = file.read()
    with open(shop.path("anchor"), "rb") as file:
        ciphertext += file.read()
    for marker in MARKERS[:-1]:
        assert marker in control, "%r: this search finds nothing where it is" % marker
    for marker in MARKERS:
        assert marker not in ciphertext, marker
    assert shop.json("info", volume)["label"] == "MARKER-of-label"


def case_same_contents_give_different_volumes(shop):
    tree = shop.small_tree()
    first, second = shop.volume_of(tree, "first"), shop.volume_of(tree, "second")
    with open(first, "rb") as left, open(second, "rb") as right:
        pages_of = lambda data: {data[i:i + 4096] for i in range(0, len(data), 4096) if any(data[i:i + 4096])}
        common = pages_of(left.read()) & pages_of(right.read())
    assert not common, "%d pages are the same in two volumes under one key" % len(common)
