"""Eight threads, each with its own connection, increment one row; then a backup and an in-memory database."""

import sqlite3
import threading


def add(count: int) -> None:
    connection = sqlite3.connect("counter.db", timeout=60, isolation_level=None)
    for _ in range(count):
        connection.execute("UPDATE counter SET value = value + 1")
    connection.close()


database = sqlite3.connect("counter.db")
database.execute("PRAGMA journal_mode=WAL")
database.execute("PRAGMA synchronous=OFF")
database.execute("CREATE TABLE counter(value INT)")
database.execute("INSERT INTO counter VALUES(0)")
database.commit()
threads = [threading.Thread(target=add, args=(50,)) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("counter", database.execute("SELECT value FROM counter").fetchone()[0])
memory = sqlite3.connect(":memory:")
database.backup(memory)
memory.create_function("twice", 1, lambda x: 2 * x)
print("backup", memory.execute("SELECT twice(value) FROM counter").fetchone()[0])
