-- Storage engines, sorts on disk, online DDL, routines and locks.
CREATE TABLE numbers (n INT PRIMARY KEY, t VARCHAR(40)) ENGINE=InnoDB;
INSERT INTO numbers SELECT seq, MD5(seq) FROM seq_1_to_50000;
CREATE TABLE aria ENGINE=Aria SELECT * FROM numbers WHERE n % 2;
CREATE TABLE myisam ENGINE=MyISAM SELECT * FROM numbers WHERE n % 3;
SELECT COUNT(*), SUM(n), MAX(t) FROM numbers;
ALTER TABLE numbers ADD INDEX by_t(t), ADD COLUMN c INT DEFAULT 7;
SELECT n FROM numbers WHERE t = MD5(4711);
SET sort_buffer_size = 32768;
SELECT t FROM aria ORDER BY t DESC LIMIT 3;
SELECT COUNT(*) FROM aria a JOIN myisam m USING (n) WHERE a.n < 200;
START TRANSACTION;
DELETE FROM numbers WHERE n < 40000;
ROLLBACK;
SELECT COUNT(*) FROM numbers;
DELIMITER //
CREATE PROCEDURE fill(count INT)
BEGIN
  DECLARE i INT DEFAULT 0;
  WHILE i < count DO
    INSERT INTO aria VALUES (-i, 'procedure');
    SET i = i + 1;
  END WHILE;
END//
DELIMITER ;
CALL fill(300);
SELECT COUNT(*) FROM aria WHERE n <= 0;
SELECT GET_LOCK('name', 1), RELEASE_LOCK('name'), SLEEP(0.05);
OPTIMIZE TABLE myisam;
CHECK TABLE numbers, aria, myisam;
SELECT n, t FROM numbers WHERE n <= 3 INTO OUTFILE 'exported';
SELECT LOAD_FILE(CONCAT(@@datadir, 'test/exported'));
