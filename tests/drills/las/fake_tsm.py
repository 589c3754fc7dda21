#!/usr/bin/python3
"""A tree like /sys/kernel/config/tsm/report, as a file system in user space: directories are requests, with attributes
that come and go with them, written in one piece, not seekable in meaning (each open starts at 0).

    fake_tsm.py MOUNTPOINT PROVIDER [MODE]

The quote is "QUOTE" + provider + report data (+ padding); MODE: normal; busy (the first two reads of a quote fail with
EBUSY); broken (every read fails with EIO); meddled (somebody else writes into each request); empty.
"""
import errno
import stat
import sys
import threading
import time

import fusepy as fuse

ATTRIBUTES = {"provider": 0o444, "generation": 0o444, "inblob": 0o200, "outblob": 0o444, "auxblob": 0o444}


class Tree(fuse.Operations):
    def __init__(self, provider, mode):
        self.provider, self.mode = provider, mode
        self.requests, self.failures_left = {}, 2
        self.lock = threading.Lock()

    def find(self, path):
        """(request, attribute), each None where the path has none."""
        parts = [part for part in path.split("/") if part]
        if not parts:
            return None, None
        if parts[0] not in self.requests or len(parts) > 2:
            raise fuse.FuseOSError(errno.ENOENT)
        if len(parts) == 2 and (parts[1] not in ATTRIBUTES or parts[1] == "auxblob" and self.provider == "tdx_guest"):
            raise fuse.FuseOSError(errno.ENOENT)
        return self.requests[parts[0]], parts[1] if len(parts) == 2 else None

    def getattr(self, path, handle=None):
        request, attribute = self.find(path)
        now = time.time()
        mode = stat.S_IFREG | ATTRIBUTES[attribute] if attribute else stat.S_IFDIR | 0o755
        return {"st_mode": mode, "st_nlink": 1, "st_size": 0, "st_ctime": now, "st_mtime": now, "st_atime": now}

    def readdir(self, path, handle):
        request, _ = self.find(path)
        return [".", ".."] + (list(ATTRIBUTES) if request is not None else list(self.requests))

    def mkdir(self, path, mode):
        with self.lock:
            if path.count("/") != 1:
                raise fuse.FuseOSError(errno.EPERM)
            self.requests[path[1:]] = {"generation": 0, "data": b""}

    def rmdir(self, path):
        with self.lock:
            self.find(path)
            del self.requests[path[1:]]

    def open(self, path, flags):
        self.find(path)
        return 1

    def truncate(self, path, length, handle=None):
        self.find(path)

    def write(self, path, data, offset, handle):
        request, attribute = self.find(path)
        with self.lock:
            if attribute != "inblob" or offset != 0 or len(data) > 64:
                raise fuse.FuseOSError(errno.EINVAL)
            request["data"] = data
            request["generation"] += 2 if self.mode == "meddled" else 1
        return len(data)

    def quote(self, request):
        if self.mode == "broken" or not request["data"]:
            raise fuse.FuseOSError(errno.EIO)
        if self.mode == "busy" and self.failures_left > 0:
            self.failures_left -= 1
            raise fuse.FuseOSError(errno.EBUSY)
        return b"" if self.mode == "empty" else b"QUOTE" + self.provider.encode() + request["data"] + bytes(70)

    def read(self, path, size, offset, handle):
        request, attribute = self.find(path)
        with self.lock:
            content = {"provider": lambda: self.provider.encode() + b"\n",
                       "generation": lambda: b"%d\n" % request["generation"],
                       "auxblob": lambda: b"CERTIFICATES",
                       "outblob": lambda: self.quote(request)}[attribute]()
        return content[offset:offset + size]


if __name__ == "__main__":
    fuse.FUSE(Tree(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "normal"), sys.argv[1], foreground=True,
              direct_io=True, nothreads=True)
