"""What the host says by files and variables must not reach the runtime, the service, nor a run's own service."""
import os
import re
import subprocess

from bench import CLEAN, Skipped, as_nobody, describe

EVIL = """
static long call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}
__attribute__((constructor)) static void run(void) { call(2, (long)MARKER, 0101, 0666); }
int OSSL_provider_init(void) { return 0; }
"""


def evil_configuration(bench):
    """A configuration file that makes libcrypto load a shared object, which leaves a marker. Returns both paths."""
    marker, library, configuration = bench.path("marker"), bench.path("evil.so"), bench.path("openssl.cnf")
    with open(bench.path("evil.c"), "w") as file:
        file.write(EVIL)
    subprocess.run(["cc", "-shared", "-fPIC", "-nostdlib", '-DMARKER="%s"' % marker, "-o", library,
                    bench.path("evil.c")], check=True)
    with open(configuration, "w") as file:
        file.write("openssl_conf = init\n[init]\nproviders = list\n[list]\nevil = evil\n[evil]\nactivate = 1\n"
                   "module = %s\n" % library)
    os.chmod(bench.directory, 0o777)
    return configuration, marker


def drill_openssl_configuration_of_the_host(bench):
    """Power: whoever starts the service or the run, by one variable."""
    configuration, marker = evil_configuration(bench)
    environment = dict(CLEAN, OPENSSL_CONF=configuration)
    control = subprocess.run([bench.program("naive_crypto")], env=environment, stdout=subprocess.PIPE)
    assert os.path.exists(marker), "the control does not show the attack: %s" % control
    os.unlink(marker)
    service = bench.serve(env=environment)
    for target in (service, None):
        result, evidence = bench.ask(target, env=environment)
        assert result.returncode == 0 and evidence, describe(result)
        assert not os.path.exists(marker), "the host's shared object ran"


def drill_tunables_of_the_host(bench):
    """Power: whoever starts the service, by one variable: the C library reads it before main()."""
    environment = dict(CLEAN, GLIBC_TUNABLES="glibc.malloc.perturb=90")
    naive = [subprocess.run([bench.program("naive_crypto")], env=env, stdout=subprocess.PIPE).stdout
             for env in (CLEAN, environment)]
    assert naive[0] != naive[1], "the control does not show the attack: %s" % naive
    service = bench.serve(env=environment)
    if os.getuid() != 0:
        raise Skipped("only root may look at the service's environment: it protects its memory")
    with open("/proc/%d/environ" % service.process.pid, "rb") as file:
        assert file.read() == b"", "the service still has its starter's environment"


def drill_runtime_reads_no_variable(bench):
    """Power: whoever starts the run, by any variable. The pages of the environment's strings cannot be read."""
    def verdict(*words):
        result = subprocess.run([bench.program("env_blind"), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=60)
        return result.stdout.decode().strip() or describe(result)
    assert verdict("1", bench.program("naive_crypto")) == "READ", "the control does not show the attack"
    assert verdict("2", bench.casemate, "run", "--", "/bin/true") == "BLIND"


def strace(bench, *command, **options):
    log = bench.path("strace")
    result = subprocess.run(["strace", "-f", "-qq", "-o", log, "-s", "200", *command], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, env=CLEAN, **options)
    with open(log) as file:
        return result, file.read().split("\n")


NAMES_FILES = re.compile(r"\b(open|openat|openat2|creat|access|faccessat2?|stat|lstat|newfstatat|statx|readlink|readlinkat|"
                         r"execve|execveat|mkdir|connect|bind|unlink|chmod|chdir)\((.*)")


def names_in(line):
    """Absolute or relative names that a traced call hands to the kernel; none for calls on descriptors."""
    match = NAMES_FILES.search(line)
    if not match or ", AT_EMPTY_PATH" in line:
        return []
    return [name for name in re.findall(r'"([^"]*)"', match.group(2))[:1] if name]


def runtime_part(lines):
    """From the runtime's exec to where it opens the program's interpreter or maps the program."""
    begin = next(number for number, line in enumerate(lines) if "execveat(" in line and line.rstrip().endswith("= 0"))
    end = next(number for number, line in enumerate(lines) if number > begin and re.search(r"mmap\(.*MAP_FIXED", line))
    return lines[begin + 1:end]


# docs/las.md, "What start-up reads".
RUNTIME_MAY_NAME = [r"/proc/self/fd/\d+$"]
SERVICE_MAY_NAME = [r"/proc/self/exe$", r"/proc/self$", r"status$", r"/sys/kernel/config/tsm/report/casemate-\d+-\d+$",
                    r"/dev/sgx_enclave$"]


def unexpected(lines, allowed):
    return [name for line in lines for name in names_in(line)
            if not any(re.match(pattern, name) for pattern in allowed)]


def drill_runtime_starts_without_files_of_the_host(bench):
    """Power: whoever owns the host's files. The control is the program itself, which reads its loader's files."""
    result, lines = strace(bench, bench.casemate, "run", "--", "/bin/true")
    assert result.returncode == 0, describe(result)
    assert unexpected(lines, RUNTIME_MAY_NAME), "the control names no file: is strace of another kind?"
    assert unexpected(runtime_part(lines), RUNTIME_MAY_NAME) == [], unexpected(runtime_part(lines), RUNTIME_MAY_NAME)


def drill_attested_runtime_names_only_its_service(bench):
    """As above, for a runtime that asks for evidence: the socket that it was told is all that it names besides."""
    service, evidence = bench.serve(), bench.path("evidence")
    name = service.socket[1:]  # abstract: strace shows it without the @
    result, lines = strace(bench, bench.casemate, "run", "--attest=" + service.socket, "--nonce", "0102", "--evidence",
                           evidence, "--", "/bin/true")
    # A traced runtime gets no evidence; what it named until then is on record.
    assert result.returncode == 125 and "traced" in result.stderr.decode(), describe(result)
    begin = next(number for number, line in enumerate(lines) if "execveat(" in line and line.rstrip().endswith("= 0"))
    allowed = RUNTIME_MAY_NAME + [re.escape(name) + "$"]
    assert any(name in names_in(line) for line in lines[begin + 1:]), "it asked nobody"
    assert unexpected(lines[begin + 1:], allowed) == [], unexpected(lines[begin + 1:], allowed)


def drill_service_starts_without_files_of_the_host(bench):
    """Power: whoever owns the host's files. The control uses libcrypto as most programs do."""
    _, lines = strace(bench, bench.program("naive_crypto"))
    assert "openssl.cnf" in "\n".join(unexpected(lines, SERVICE_MAY_NAME)), "the control names no configuration"
    socket = bench.new_name()
    command = ["strace", "-f", "-qq", "-o", bench.path("strace"), "-s", "200", bench.casemate, "las", "serve",
               "--socket", socket]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env=dict(CLEAN, OPENSSL_CONF="/nowhere", MALLOC_ARENA_MAX="1"))
    try:
        assert "listening" in process.stderr.readline().decode()
    finally:
        with open("/proc/%d/task/%d/children" % (process.pid, process.pid)) as file:
            for child in file.read().split():
                os.kill(int(child), 15)
        process.communicate(timeout=60)
    with open(bench.path("strace")) as file:
        lines = file.read().split("\n")
    begin = max(number for number, line in enumerate(lines) if "execve(" in line)
    allowed = SERVICE_MAY_NAME + [re.escape(socket[1:])]
    named = [name for name in unexpected(lines[begin + 1:], allowed) if not name.startswith(bench.directory)]
    assert named == [], named
