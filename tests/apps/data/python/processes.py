"""multiprocessing with the start method given as argument: processes that share memory, semaphores and descriptors."""

import array
import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import time
from multiprocessing import shared_memory


def square(number: int) -> int:
    return number * number


def fail(number: int) -> int:
    raise ValueError(f"number {number}")


def add(counter, lock, count: int) -> None:
    for _ in range(count):
        with lock:
            counter.value += 1


def fill(name: str, part: int, parts: int) -> None:
    memory = shared_memory.SharedMemory(name=name)
    size = memory.size // parts
    memory.buf[part * size : (part + 1) * size] = bytes([part + 1]) * size
    memory.close()


def produce(queue, first: int, count: int) -> None:
    for number in range(first, first + count):
        queue.put(number)


def echo(connection) -> None:
    while (message := connection.recv()) is not None:
        connection.send(message[::-1])
    connection.close()


def use_socket(connection) -> None:
    connection.recv().sendall(b"sent through a passed socket")


def meet(barrier, event, values, index: int) -> None:
    barrier.wait()
    values[index] = index + 1
    event.wait()


def hold(semaphore, connection) -> None:
    semaphore.acquire()
    connection.send("held")
    time.sleep(60)


def pools(context) -> None:
    with context.Pool(3) as pool:
        print("map", sum(pool.map(square, range(500), chunksize=7)))
        print("unordered", sorted(pool.imap_unordered(square, range(20)))[-1])
        try:
            pool.apply(fail, (3,))
        except ValueError as error:
            print("raised in the child:", error)


def shared_objects(context) -> None:
    counter, lock = context.Value(ctypes.c_long, 0, lock=False), context.Lock()
    workers = [context.Process(target=add, args=(counter, lock, 3000)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("counter", counter.value, [worker.exitcode for worker in workers])
    memory = shared_memory.SharedMemory(create=True, size=4 << 20)
    workers = [context.Process(target=fill, args=(memory.name, part, 4)) for part in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("shared memory", [memory.buf[part << 20] for part in range(4)], memory.buf[(4 << 20) - 1])
    memory.close()
    memory.unlink()
    barrier, event, values = context.Barrier(4), context.Event(), context.Array("i", 3)
    workers = [context.Process(target=meet, args=(barrier, event, values, index)) for index in range(3)]
    for worker in workers:
        worker.start()
    barrier.wait()
    event.set()
    for worker in workers:
        worker.join()
    print("barrier and array", list(values))


def messages(context) -> None:
    queue = context.Queue()
    workers = [context.Process(target=produce, args=(queue, first, 500)) for first in (0, 1000, 2000)]
    for worker in workers:
        worker.start()
    print("queue", sum(queue.get() for _ in range(1500)))
    for worker in workers:
        worker.join()
    ours, theirs = context.Pipe()
    worker = context.Process(target=echo, args=(theirs,))
    worker.start()
    for size in (1, 100, 1_000_000):
        ours.send("ab" * size)
        print("pipe", len(ours.recv()))
    ours.send(None)
    worker.join()
    left, right = socket.socketpair()
    ours, theirs = context.Pipe()
    worker = context.Process(target=use_socket, args=(theirs,))
    worker.start()
    ours.send(right)
    right.close()
    print(left.recv(100))
    worker.join()


def managers(context) -> None:
    with context.Manager() as manager:
        data, lock, counter = manager.dict(), manager.Lock(), manager.Value("i", 0)
        data["list"] = manager.list([3, 1, 2])
        data["list"].sort()
        workers = [context.Process(target=add, args=(counter, lock, 50)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        print("manager", list(data["list"]), counter.value)


def endings(context) -> None:
    semaphore = context.Semaphore(1)
    ours, theirs = context.Pipe()
    worker = context.Process(target=hold, args=(semaphore, theirs))
    worker.start()
    print(ours.recv(), semaphore.acquire(timeout=0.05))
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    print("killed", worker.exitcode, "still held:", not semaphore.acquire(block=False))
    worker = context.Process(target=sys.exit, args=(5,))
    worker.start()
    worker.join()
    print("exit", worker.exitcode)
    worker = context.Process(target=time.sleep, args=(60,), daemon=True)
    worker.start()
    worker.terminate()
    worker.join()
    print("terminated", worker.exitcode)


if __name__ == "__main__":
    chosen = multiprocessing.get_context(sys.argv[1])
    print("---", sys.argv[1], array.array("i", [1, 2]).itemsize)
    for test in (pools, shared_objects, messages, managers, endings):
        test(chosen)
