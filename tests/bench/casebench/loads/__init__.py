"""The catalog: every load, in the order in which the table shows them."""

from . import build, databases, memory, micro, servers, sqlite, start, storage

ALL = (*micro.LOADS, *start.LOADS, *servers.LOADS, *sqlite.LOADS, *databases.LOADS, *storage.LOADS, *build.LOADS,
       *memory.LOADS)
