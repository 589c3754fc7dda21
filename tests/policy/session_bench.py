"""What a case works with: a private directory, the command line, keys and session files."""
import base64
import hashlib
import json
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


class Done:
    def __init__(self, process):
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr


class Bench:
    def __init__(self, casemate, directory):
        self.casemate, self.directory = casemate, directory

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def session(self, *words, environment=None):
        """`casemate session WORDS`; relative names are those of the private directory."""
        process = subprocess.run([self.casemate, "session"] + list(words), cwd=self.directory, capture_output=True,
                                 timeout=60, encoding="utf-8", env={**os.environ, **(environment or {})})
        return Done(process)

    def good(self, *words, **options):
        done = self.session(*words, **options)
        assert done.code == 0, "%s: exit %d\n%s%s" % (words, done.code, done.out, done.err)
        return done

    def hash_of(self, name):
        return self.good("hash", "--literal", name).out.strip()

    def make_key(self, name, *algorithm):
        """A private key in NAME.pem; gives the public key as one line of base64."""
        words = list(algorithm) or ["-algorithm", "ed25519"]
        subprocess.run(["openssl", "genpkey", "-out", self.path(name + ".pem")] + words, check=True, capture_output=True)
        public = subprocess.run(["openssl", "pkey", "-in", self.path(name + ".pem"), "-pubout", "-outform", "DER"],
                                check=True, capture_output=True).stdout
        return base64.b64encode(public).decode()


def sample(name):
    return os.path.join(HERE, "sessions", name)


def key_hash(public):
    return hashlib.sha256(base64.b64decode(public)).hexdigest()


def read_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def read_json(path):
    return json.loads(read_text(path))
