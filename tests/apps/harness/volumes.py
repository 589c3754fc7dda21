"""Runs a case with its work directory in an encrypted volume: the whole case, clients and scripts too, is then one
application under `casemate run --fs`, because nobody outside can see into the volume."""

import json
import os
import pathlib
import subprocess


class Volume:
    """One volume, fresh for one pass of one case, mounted at `mount_point`, which exists on the host as well."""

    def __init__(self, casemate: str, folder: pathlib.Path, mount_point: pathlib.Path):
        self.casemate = casemate
        self.path, self.key, self.anchor = folder / "volume.cmv", folder / "key", folder / "anchor"
        self.description = folder / "fs.json"
        for old in (self.path, self.key, self.anchor):
            old.unlink(missing_ok=True)
        with open(os.open(self.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(os.urandom(32))
        self._tool("create", "--size", "8G", self.path)
        self._tool("anchor", "--set", "--anchor", self.anchor, self.path)
        self._tool("import", "--anchor", self.anchor, self.path, mount_point)
        encrypted = {
            "path": str(mount_point),
            "kind": "encrypted",
            "volume": str(self.path),
            "key-file": str(self.key),
            "freshness": "local",
            "anchor": str(self.anchor),
        }
        regions = [{"path": "/", "kind": "host"}, encrypted]
        self.description.write_text(json.dumps({"regions": regions}))

    def command(self) -> list[str]:
        return [self.casemate, "run", "--quiet", "--fs", str(self.description), "--"]

    def problems(self, mount_point: pathlib.Path) -> list[str]:
        """What is wrong after the pass: a volume that does not verify, or files that went to the host instead."""
        found = []
        verified = self._call("verify", "--anchor", self.anchor, self.path)
        if verified.returncode != 0:
            found.append(f"volume: does not verify: {verified.stdout.strip()[-500:]}")
        escaped = [str(path) for path in mount_point.rglob("*") if path.name != "tmp"]
        if escaped:
            found.append(f"volume: these went to the host: {' '.join(escaped[:5])}")
        return found

    def _call(self, command: str, *words: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.casemate, "volume", command, "--key-file", self.key, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def _tool(self, command: str, *words: object) -> None:
        done = self._call(command, *words)
        if done.returncode != 0:
            raise RuntimeError(f"casemate volume {command}: {done.stdout.strip()}")
