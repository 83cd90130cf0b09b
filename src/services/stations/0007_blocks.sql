-- What is written of a new transaction goes behind what was written of those before it, or among the newest 65,536 of them, and no longer into a
-- page of its station and another of its tag, however many of these there are.
--
-- block: number >> 16. A list of a station goes from block to block (transaction_blocks), newest or oldest first, and finds the station in each.
ALTER TABLE transactions ADD COLUMN block INTEGER NOT NULL DEFAULT 0;
UPDATE transactions SET block = number >> 16;
CREATE TABLE transaction_blocks (block INTEGER PRIMARY KEY);
INSERT INTO transaction_blocks (block) SELECT DISTINCT block FROM transactions;
-- A repeated start is found by its device's time and its station. The newest start of a station, which this index gave as well, stands in its
-- row; NULL: its transactions say it.
ALTER TABLE charge_points ADD COLUMN newest_device_start INTEGER;
UPDATE charge_points SET newest_device_start =
    (SELECT max(device_started_at) FROM transactions t WHERE t.charge_point_id = charge_points.charge_point_id);
DROP INDEX transactions_repeat;
CREATE INDEX transactions_repeat ON transactions (device_started_at, charge_point_id);
DROP INDEX transactions_station;
CREATE INDEX transactions_station ON transactions (block, charge_point_id, number);
DROP INDEX transactions_tag;
CREATE INDEX transactions_tag ON transactions (block, id_tag, number);
