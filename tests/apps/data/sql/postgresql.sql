-- What reaches the operating system: parallel workers with dynamic shared memory, sorts on disk, large objects, locks.
CREATE EXTENSION pgcrypto;
SELECT encode(digest('casemate', 'sha256'), 'hex');
CREATE TABLE numbers AS SELECT n, md5(n::text) AS text FROM generate_series(1, 200000) n;
ANALYZE numbers;
SELECT count(*), sum(n), max(text) FROM numbers WHERE n % 3 = 0;
EXPLAIN (COSTS OFF) SELECT count(*) FROM numbers;
SET work_mem = '64kB';
SELECT text FROM numbers ORDER BY text OFFSET 100000 LIMIT 1;
RESET work_mem;
CREATE INDEX by_text ON numbers(text);
SELECT n FROM numbers WHERE text = md5('4711');
COPY (SELECT * FROM numbers ORDER BY n LIMIT 1000) TO PROGRAM 'sha256sum >"$TMPDIR"/copied';
SELECT length(pg_read_file(current_setting('data_directory') || '/PG_VERSION'));
DO $$
BEGIN
  FOR i IN 1..50 LOOP
    BEGIN
      INSERT INTO numbers VALUES (i, NULL);
      RAISE EXCEPTION 'undo %', i;
    EXCEPTION WHEN raise_exception THEN
      NULL;
    END;
  END LOOP;
END $$;
SELECT count(*) FROM numbers;
SELECT lo_from_bytea(12345, 'large object');
SELECT convert_from(lo_get(12345), 'UTF8');
VACUUM FULL numbers;
SELECT pg_advisory_lock(1), pg_try_advisory_lock(1);
SET statement_timeout = '100ms';
\set ON_ERROR_STOP off
SELECT pg_sleep(30);
\set ON_ERROR_STOP on
RESET statement_timeout;
