// SQLite: durable commits, a bulk insert and point queries, each on a database in DIRECTORY. Prints operations per
// second (commits, rows, queries).
#include "harness.h"

#include <limits.h>
#include <sqlite3.h>

static sqlite3* database;

static void check(int result, const char* what) {
  if (result == SQLITE_OK || result == SQLITE_DONE || result == SQLITE_ROW) return;
  fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(database));
  exit(1);
}

static void execute(const char* statement) { check(sqlite3_exec(database, statement, NULL, NULL, NULL), statement); }

static sqlite3_stmt* prepare(const char* text) {
  sqlite3_stmt* statement = NULL;
  check(sqlite3_prepare_v2(database, text, -1, &statement, NULL), text);
  return statement;
}

static void insert_row(sqlite3_stmt* insert, long key) {
  sqlite3_bind_int64(insert, 1, key);
  sqlite3_bind_text(insert, 2, "one hundred bytes of text, more or less, as a small record of an application has them",
                    -1, SQLITE_STATIC);
  check(sqlite3_step(insert), "insert");
  sqlite3_reset(insert);
}

static long bulk_insert(sqlite3_stmt* insert, long first, long rows) {
  execute("BEGIN");
  for (long i = 0; i < rows; ++i) insert_row(insert, first + i);
  execute("COMMIT");
  return rows;
}

static long commit(sqlite3_stmt* insert, double end) {
  long commits = 0;
  while (now_ns() < end) insert_row(insert, commits++);
  return commits;
}

static long bulk(sqlite3_stmt* insert, double end) {
  long rows = 0;
  while (now_ns() < end) rows += bulk_insert(insert, rows, 20000);
  return rows;
}

// Point queries on 100,000 rows with a cache far too small for them: each reads pages with pread.
static long select_rows(sqlite3_stmt* select, double end) {
  long queries = 0;
  unsigned long key = 1;
  while (now_ns() < end) {
    for (int i = 0; i < 100; ++i, ++queries) {
      key = key * 6364136223846793005UL + 1442695040888963407UL;
      sqlite3_bind_int64(select, 1, (long)((key >> 33) % 100000));
      check(sqlite3_step(select), "select");
      sqlite3_reset(select);
    }
  }
  return queries;
}

int main(int argc, char** argv) {
  char path[PATH_MAX];
  if (argc < 4) {
    fprintf(stderr, "usage: %s commit|commit_wal|insert|select|select_mapped DIRECTORY SECONDS\n", argv[0]);
    return 2;
  }
  const double seconds = atof(argv[3]);
  snprintf(path, sizeof(path), "%s/load.db", argv[2]);
  check(sqlite3_open(path, &database), path);
  execute(strcmp(argv[1], "commit_wal") == 0 ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE");
  execute("PRAGMA synchronous=FULL");
  execute("CREATE TABLE record (key INTEGER PRIMARY KEY, text TEXT)");
  sqlite3_stmt* const insert = prepare("INSERT INTO record VALUES (?, ?)");
  sqlite3_stmt* const select = prepare("SELECT text FROM record WHERE key = ?");
  long operations = 0;
  double start = now_ns();
  if (strncmp(argv[1], "commit", 6) == 0) {
    operations = commit(insert, start + seconds * 1e9);
  } else if (strcmp(argv[1], "insert") == 0) {
    operations = bulk(insert, start + seconds * 1e9);
  } else {
    bulk_insert(insert, 0, 100000);
    execute("PRAGMA cache_size=20");
    if (strcmp(argv[1], "select_mapped") == 0) execute("PRAGMA mmap_size=1073741824");
    start = now_ns();
    operations = select_rows(select, start + seconds * 1e9);
  }
  printf("%.1f\n", (double)operations / ((now_ns() - start) / 1e9));
  return 0;
}
