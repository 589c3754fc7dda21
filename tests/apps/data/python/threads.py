"""Threads of one Python process: every synchronisation object, blocking calls, signals and fork among threads."""

import concurrent.futures
import hashlib
import os
import queue
import signal
import socket
import threading
import time

THREADS = 16


def locked_counter() -> None:
    lock, total = threading.Lock(), [0]

    def work() -> None:
        for _ in range(5000):
            with lock:
                total[0] += 1

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("counter", total[0])


def queues_and_conditions() -> None:
    work: queue.Queue = queue.Queue(8)
    done: queue.Queue = queue.Queue()

    def consume() -> None:
        while (item := work.get()) is not None:
            done.put(item * item)

    threads = [threading.Thread(target=consume) for _ in range(4)]
    for thread in threads:
        thread.start()
    for item in range(2000):
        work.put(item)
    for _ in threads:
        work.put(None)
    for thread in threads:
        thread.join()
    print("queue", sum(done.get() for _ in range(2000)))
    barrier, order = threading.Barrier(THREADS), []

    def meet() -> None:
        order.append("before")
        barrier.wait()
        order.append("after")

    threads = [threading.Thread(target=meet) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("barrier", order == ["before"] * THREADS + ["after"] * THREADS)
    print("event in time:", threading.Event().wait(0.01))


def pools() -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        digests = pool.map(lambda n: hashlib.sha256(bytes(200_000) + bytes([n])).hexdigest(), range(64))
        print("pool", hashlib.sha256("".join(digests).encode()).hexdigest()[:16])


def blocking_calls() -> None:
    left, right = socket.socketpair()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(right.recv(100)))
    thread.start()
    time.sleep(0.02)
    left.send(b"wakes the reader")
    thread.join()
    print(answers)
    left.close()
    right.close()


def fork_among_threads() -> None:
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    statuses = []
    for number in range(10):
        child = os.fork()
        if child == 0:
            os._exit(number if threading.active_count() == 1 else 99)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    for thread in threads:
        thread.join()
    print("forked children", statuses)


def signals_and_threads() -> None:
    seen = []
    signal.signal(signal.SIGUSR1, lambda *_: seen.append(threading.current_thread() is threading.main_thread()))
    thread = threading.Thread(target=lambda: [os.kill(os.getpid(), signal.SIGUSR1) or time.sleep(0.002) for _ in range(50)])
    thread.start()
    thread.join()
    print("handled by the main thread:", all(seen), len(seen) > 0)
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    print("native id is the pid", threading.get_native_id() == os.getpid())


def many_short_threads() -> None:
    ended = []
    for _ in range(300):
        thread = threading.Thread(target=ended.append, args=(1,))
        thread.start()
        thread.join()
    print("short threads", len(ended))


for test in (locked_counter, queues_and_conditions, pools, blocking_calls, fork_among_threads, signals_and_threads,
             many_short_threads):
    test()
