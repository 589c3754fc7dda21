"""The catalog: every load, in the order in which the table shows them."""

from . import build, databases, memory, micro, servers, sqlite, start

ALL = (*micro.LOADS, *start.LOADS, *servers.LOADS, *sqlite.LOADS, *databases.LOADS, *build.LOADS, *memory.LOADS)
