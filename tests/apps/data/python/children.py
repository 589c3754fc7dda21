"""Child processes in every way Python starts them."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import tempfile


def outputs() -> None:
    print(subprocess.run(["echo", "plain"], capture_output=True, text=True).stdout.strip())
    print(subprocess.run("echo shell; exit 3", shell=True, capture_output=True).returncode)
    print(subprocess.run(["tr", "a-z", "A-Z"], input="input", capture_output=True, text=True).stdout)
    big = os.urandom(1).hex() * 500_000
    print(len(subprocess.run(["cat"], input=big, capture_output=True, text=True).stdout))
    first = subprocess.Popen(["seq", "1000"], stdout=subprocess.PIPE)
    second = subprocess.Popen(["wc", "-l"], stdin=first.stdout, stdout=subprocess.PIPE)
    first.stdout.close()
    print(second.communicate()[0].strip(), first.wait())
    # vfork is not possible with these, fork is.
    print(subprocess.run(["sh", "-c", "echo $PWD $X"], cwd="/usr", env={"X": "y"}, capture_output=True).stdout)
    print(subprocess.run(["true"], preexec_fn=lambda: os.umask(0)).returncode)


def errors() -> None:
    for command in (["/no/such/program"], ["/etc/passwd"], ["/usr"]):
        try:
            subprocess.run(command)
        except OSError as error:
            print(command, error.strerror)
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "script")
        for first_line in ("#!/no/such/interpreter\n", "no first line\n", "#!/bin/sh\necho script $1\n", "\x7fELF garbage"):
            with open(script, "w") as file:
                file.write(first_line)
            os.chmod(script, 0o755)
            try:
                print(repr(first_line), subprocess.run([script, "arg"], capture_output=True).stdout)
            except OSError as error:
                print(repr(first_line), error.strerror)
    try:
        subprocess.run(["sleep", "60"], timeout=0.05)
    except subprocess.TimeoutExpired:
        print("timeout")
    print("killed", subprocess.run(["sh", "-c", "kill -9 $$"]).returncode)


def descriptors_and_sessions() -> None:
    reading, writing = os.pipe()
    list_descriptors = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1])"
    for passed in ((), (writing,)):
        result = subprocess.run([sys.executable, "-c", list_descriptors], pass_fds=passed, capture_output=True, text=True)
        print("descriptors of the child", result.stdout.strip())
    subprocess.run(["sh", "-c", f"echo inherited >&{writing}"], pass_fds=(writing,))
    print(os.read(reading, 100))
    leader = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid() == os.getpgrp())"],
        start_new_session=True, capture_output=True, text=True)
    print("session leader", leader.stdout.strip())
    group = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60 & echo ready; wait"], process_group=0, stdout=subprocess.PIPE)
    group.stdout.readline()
    os.killpg(group.pid, signal.SIGTERM)
    print("group", group.wait(), group.stdout.read())
    os.close(reading)
    os.close(writing)


def terminal() -> None:
    child, master = pty.fork()
    if child == 0:
        os.execvp("sh", ["sh", "-c", "stty size; test -t 0 && echo terminal; read line; echo got $line"])
    os.write(master, b"typed\n")
    output = b""
    try:
        while block := os.read(master, 1000):
            output += block
    except OSError:
        pass
    print(sorted(output.replace(b"\r", b"").split(b"\n")), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def many() -> None:
    children = [subprocess.Popen(["sh", "-c", f"exit {n}"]) for n in range(30)]
    print("many", sum(child.wait() for child in children))
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 7"], os.environ, setpgroup=0, setsigmask=[signal.SIGUSR1])
    print("posix_spawn", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    middle = os.fork()
    if middle == 0:
        os.execv("/bin/sh", ["sh", "-c", "exec /bin/sh -c 'exec /bin/sh -c \"exit 8\"'"])
    print("exec chain", os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1]))
    descriptor = os.open("/bin/sh", os.O_PATH | os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.execve(descriptor, ["sh", "-c", "exit 6"], {})
    print("fexecve", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


async def with_asyncio() -> None:
    async def one(number: int) -> bytes:
        process = await asyncio.create_subprocess_exec("expr", str(number), "+", "1", stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0].strip()

    print(await asyncio.gather(*(one(n) for n in range(8))))
    process = await asyncio.create_subprocess_shell("exec sleep 60")
    process.terminate()
    print("terminated", await process.wait())


for test in (outputs, errors, descriptors_and_sessions, terminal, many):
    test()
    sys.stdout.flush()
asyncio.run(with_asyncio())
