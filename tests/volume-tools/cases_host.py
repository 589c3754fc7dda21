"""Hosts that lack something: a full or read-only disk, a volume in use, small limits."""
import fcntl
import os
import resource
import shlex
import subprocess
import time

from workshop import Skipped, describe, expect, expect_no_crash, expect_refusal


def on_tmpfs(shop, size, *commands):
    """Runs shell commands in a mount namespace of their own, in which $disk is a tmpfs of `size`."""
    if os.geteuid() != 0:
        raise Skipped("mounting needs root")
    disk = shop.path("disk")
    os.makedirs(disk, exist_ok=True)
    script = "disk=%s; mount -t tmpfs -o size=%s none $disk; %s" % (shlex.quote(disk), size, "; ".join(commands))
    return shop.execute(["unshare", "--mount", "--propagation", "private", "sh", "-c", script])


def words(shop, *arguments):
    return " ".join((shlex.quote(shop.casemate), "volume", arguments[0], "--quiet", "--key-file",
                                     shlex.quote(shop.key)) + arguments[1:])


def case_full_disk_is_told_and_loses_nothing(shop):
    tree = shop.small_tree()
    shop.file("large/large", shop.random.randbytes(40 << 20))
    shop.make_key()
    result = on_tmpfs(shop, "16m", words(shop, "create", "--journal", "1M", "$disk/v"),
                      words(shop, "import", "$disk/v", tree) + "; echo small $?",
                      words(shop, "import", "$disk/v", shop.path("large")) + "; echo large $?",
                      words(shop, "verify", "$disk/v") + "; echo verify $?",
                      words(shop, "cat", "$disk/v", "/hello"))
    assert b"small 0\n" in result.stdout and b"verify 0\n" in result.stdout, describe(result)
    assert b"large 125\n" in result.stdout or b"large 1\n" in result.stdout, describe(result)
    assert b"No space" in result.stderr or b"full" in result.stderr, describe(result)
    assert result.stdout.endswith(b"hello, volume\n"), describe(result)


def case_create_on_a_full_disk_leaves_nothing(shop):
    shop.make_key()
    result = on_tmpfs(shop, "1m", words(shop, "create", "$disk/v") + "; echo created $?", "ls -A $disk")
    assert b"created 125\n" in result.stdout or b"created 1\n" in result.stdout, describe(result)
    assert result.stdout.strip().endswith((b"created 125", b"created 1")), describe(result)
    assert b"No space" in result.stderr or b"full" in result.stderr, describe(result)


def case_export_to_a_full_disk_is_told(shop):
    shop.file("large/large", shop.random.randbytes(8 << 20))
    shop.file("large/small", b"s")
    volume = shop.volume_of(shop.path("large"))
    result = on_tmpfs(shop, "4m", words(shop, "export", volume, "$disk/out"), "echo export $?", "ls -A $disk/out")
    assert b"export 125\n" in result.stdout and b"No space" in result.stderr, describe(result)
    assert b"large" not in result.stdout.split(b"export 125\n")[1], describe(result)


def case_read_only_host_can_be_read_but_not_written(shop):
    tree = shop.small_tree()
    volume = shop.volume_of(tree)
    before = shop.read(volume)
    result = on_tmpfs(shop, "64m", "cp %s $disk/v" % shlex.quote(volume), "mount -o remount,ro $disk",
                      words(shop, "verify", "$disk/v") + "; echo verify $?",
                      words(shop, "diff", "$disk/v", tree) + "; echo diff $?",
                      words(shop, "import", "$disk/v", tree) + "; echo import $?")
    assert b"verify 0\n" in result.stdout and b"diff 0\n" in result.stdout, describe(result)
    assert b"import 125\n" in result.stdout and b"Read-only" in result.stderr, describe(result)
    assert shop.read(volume) == before


def case_reading_changes_no_byte_of_the_volume(shop):
    volume = shop.volume_of(shop.small_tree())
    before = shop.read(volume)
    for command in (["info", volume], ["ls", "-R", volume], ["verify", volume], ["cat", volume, "hello"],
                    ["export", volume, shop.path("out")], ["diff", volume, shop.path("tree")]):
        shop.call(*command)
        assert shop.read(volume) == before, command


def case_volume_in_use_is_refused_with_the_process_named(shop):
    volume = shop.volume_of(shop.small_tree())
    with open(volume, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for command in ("info", "verify"):
            expect_refusal(shop.call(command, volume), 1, volume, "in use", str(os.getpid()))
        expect_refusal(shop.call("import", volume, shop.path("tree")), 1, volume, "in use")
    expect(shop.call("info", volume))


def case_volume_in_use_for_a_moment_is_waited_for(shop):
    volume = shop.volume_of(shop.small_tree())
    with open(volume, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process = subprocess.Popen(shop.command("info", "--quiet", "--key-file", shop.key, volume),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.5)
        assert process.poll() is None, process.communicate()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and b"position" in output, (process.returncode, errors)


def case_readers_do_not_exclude_each_other(shop):
    volume = shop.volume_of(shop.small_tree())
    with open(volume, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        expect(shop.call("info", volume))
        expect(shop.call("diff", volume, volume), 0, b"")


def case_closed_standard_output_is_no_success(shop):
    volume = shop.volume_of(shop.small_tree())
    with open("/dev/full", "wb") as full:
        result = subprocess.run(shop.command("cat", "--quiet", "--key-file", shop.key, volume, "directory/large"),
                                stdout=full, stderr=subprocess.PIPE, check=False)
    assert result.returncode == 125 and b"No space" in result.stderr, result


def case_small_limits_end_in_an_answer(shop):
    volume = shop.volume_of(shop.odd_tree())

    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    expect_no_crash(shop.call("export", volume, shop.path("out"), preexec_fn=few_descriptors))
    expect(shop.call("verify", volume, preexec_fn=few_descriptors))

    def little_memory():
        resource.setrlimit(resource.RLIMIT_AS, (24 << 20, 24 << 20))

    expect_no_crash(shop.call("verify", volume, preexec_fn=little_memory))


def case_large_trees_need_little_memory(shop):
    tree = shop.path("tree")
    for number in range(20000):
        if number % 1000 == 0:
            os.makedirs("%s/%d" % (tree, number // 1000))
        with open("%s/%d/%d" % (tree, number // 1000, number), "wb"):
            pass
    volume = shop.create()

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))

    expect(shop.call("import", volume, tree, preexec_fn=limit))
    expect(shop.call("verify", volume, preexec_fn=limit))
    assert shop.json("info", volume)["inode_count"] >= 20021
