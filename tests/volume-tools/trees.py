"""Trees of files with everything odd, and what must be the same after a round trip."""
import hashlib
import os
import socket
import stat

NAMES = [b"plain", b"with space", b"new\nline", b"tab\there", b"back\\slash", b"quote'\"", b"-dash", b"...", b"\xff\xfe",
         b"\xc3\x28 invalid", "Grüße 日本 🙂".encode(), b"*?[", b"\x1b[31mred", b"x" * 255, "é".encode() * 127]


def make_odd_tree(root, random):
    """Fills the directory `root`. Device nodes only for root."""
    make_files(root, random)
    make_links(root)
    make_specials(root)
    os.chmod(os.path.join(root, "private"), 0o700)
    for number, (directory, folders, files) in enumerate(os.walk(os.fsencode(root), topdown=False)):
        for name in folders + files:
            path = os.path.join(directory, name)
            os.utime(path, ns=(10**18 + number, 1234567890123456789 - number * 7919), follow_symlinks=False)
    os.utime(root, ns=(10**18, 987654321987654321))


def make_files(root, random):
    for name in ("private", "empty-directory", "names", "deep"):
        os.mkdir(os.path.join(root, name))
    for size in (0, 1, 4095, 4096, 4097, 100000, 1 << 20, (1 << 20) + 17):
        write(os.path.join(root, "private", "size-%d" % size), random.randbytes(size))
    for name in NAMES:
        write(os.path.join(os.fsencode(root), b"names", name), name)
    for mode in (0o000, 0o400, 0o755, 0o4755, 0o2755, 0o1644):
        path = os.path.join(root, "mode-%04o" % mode)
        write(path, b"mode")
        if os.geteuid() == 0:
            os.chown(path, 1000 + mode, 2000)
        os.chmod(path, mode)
    make_sparse(os.path.join(root, "sparse"))
    path = os.path.join(root, "deep")
    for number in range(60):
        path = os.path.join(path, "level-%d" % number)
        os.mkdir(path)
    write(os.path.join(path, "bottom"), b"bottom")
    for number in range(300):
        write(os.path.join(root, "private", "many-%d" % number), b"%d" % number)


def make_sparse(path):
    with open(path, "wb") as file:
        file.truncate(50 << 20)
        file.seek(10 << 20)
        file.write(b"island in the middle")
        file.seek((50 << 20) - 5)
        file.write(b"coast")


def make_links(root):
    for target, name in (("plain-target", "dangling"), ("/etc/passwd", "absolute"), ("..", "upwards"), ("loop", "loop"),
                         ("x" * 3000, "long")):
        os.symlink(target, os.path.join(root, name))
    os.symlink(b"\xff\n", os.path.join(os.fsencode(root), b"strange"))
    write(os.path.join(root, "first-name"), b"one file, three names")
    os.link(os.path.join(root, "first-name"), os.path.join(root, "second-name"))
    os.link(os.path.join(root, "first-name"), os.path.join(root, "deep", "third-name"))


def make_specials(root):
    os.mkfifo(os.path.join(root, "fifo"), 0o640)
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(root)  # the address has little room
        listener.bind("socket")
        os.chdir(here)
    if os.geteuid() == 0:
        os.mknod(os.path.join(root, "null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(os.path.join(root, "disk"), stat.S_IFBLK | 0o600, os.makedev(259, 70000))
    attributed = os.path.join(root, "attributed")
    write(attributed, b"has attributes")
    os.setxattr(attributed, "user.plain", b"value")
    os.setxattr(attributed, "user.binary", bytes(range(256)) * 4)
    os.setxattr(attributed, "user.empty", b"")
    os.setxattr(os.path.join(root, "empty-directory"), "user.of-directory", b"1")
    if os.geteuid() == 0:
        os.setxattr(os.path.join(root, "absolute"), "trusted.of-link", b"2", follow_symlinks=False)


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def attributes_of(path):
    try:
        return {name: os.getxattr(path, name, follow_symlinks=False)
                for name in os.listxattr(path, follow_symlinks=False)}
    except OSError:
        return {}


def facts_of(path):
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    facts = {"type": kind, "mode": stat.S_IMODE(status.st_mode), "owner": (status.st_uid, status.st_gid),
             "time": status.st_mtime_ns, "attributes": attributes_of(path)}
    if kind == stat.S_IFREG:
        facts["size"] = status.st_size
        with open(path, "rb") as file:
            facts["content"] = hashlib.sha256(file.read()).hexdigest()
    if kind == stat.S_IFLNK:
        facts["target"] = os.readlink(path)
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        facts["device"] = status.st_rdev
    return facts, (status.st_dev, status.st_ino) if kind != stat.S_IFDIR and status.st_nlink > 1 else None


def snapshot(root):
    """Path (bytes, below the root) -> facts; names of one inode share a group."""
    found, groups = {}, {}
    root = os.fsencode(root)
    paths = [root]
    for directory, folders, files in os.walk(root):
        paths += [os.path.join(directory, name) for name in folders + files]
    for path in sorted(paths):
        name = os.path.relpath(path, root)
        facts, inode = facts_of(path)
        if inode is not None:
            facts["same-file-as"] = groups.setdefault(inode, name)
        found[name] = facts
    return found


def differences(left, right):
    """Lines that tell how two snapshots differ."""
    lines = []
    for name in sorted(set(left) | set(right)):
        if name not in left or name not in right:
            lines.append("%r: only in the %s" % (name, "first" if name in left else "second"))
            continue
        for fact in sorted(set(left[name]) | set(right[name])):
            if left[name].get(fact) != right[name].get(fact):
                lines.append("%r: %s: %r and %r" % (name, fact, left[name].get(fact), right[name].get(fact)))
    return lines


def expect_same(left, right):
    lines = differences(snapshot(left), snapshot(right))
    assert not lines, "%s and %s differ:\n  %s" % (left, right, "\n  ".join(lines[:20]))
