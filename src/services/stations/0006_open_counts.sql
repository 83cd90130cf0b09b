-- Open and closed ones are counted apart (part: 2 * connector_id, + 1 of those that are open): thousands charge at once, and a page of those that
-- do not is found without walking over them.
DELETE FROM transaction_counts;
INSERT INTO transaction_counts (list, level, block, part, count)
    SELECT 1, 0, number >> 10, 2 * connector_id + (state = 'open'), COUNT(*) FROM transactions GROUP BY 3, 4 UNION ALL
    SELECT 1, 1, number >> 15, 2 * connector_id + (state = 'open'), COUNT(*) FROM transactions GROUP BY 3, 4 UNION ALL
    SELECT 1, 2, number >> 20, 2 * connector_id + (state = 'open'), COUNT(*) FROM transactions GROUP BY 3, 4 UNION ALL
    SELECT 2, 0, started_at >> 28, 2 * connector_id + (state = 'open'), COUNT(*) FROM transactions GROUP BY 3, 4 UNION ALL
    SELECT 2, 1, started_at >> 33, 2 * connector_id + (state = 'open'), COUNT(*) FROM transactions GROUP BY 3, 4 UNION ALL
    SELECT 2, 2, started_at >> 38, 2 * connector_id + (state = 'open'), COUNT(*) FROM transactions GROUP BY 3, 4;
-- Open ones in either order; a count is no longer made by the first.
DROP INDEX transactions_open_order;
CREATE INDEX transactions_open_number ON transactions (number) WHERE state = 'open';
CREATE INDEX transactions_open_start ON transactions (started_at) WHERE state = 'open';
