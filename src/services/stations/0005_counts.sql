-- How many transactions lie in each stretch of their numbers (list 1) and of their starts (list 2), by connector: what a list of
-- them is counted by, and where one of its pages begins (store/counted.h). Instead of the total.
CREATE TABLE transaction_counts (
    list  INTEGER NOT NULL,
    level INTEGER NOT NULL,
    block INTEGER NOT NULL,
    part  INTEGER NOT NULL, -- connector_id
    count INTEGER NOT NULL,
    PRIMARY KEY (list, level, block, part)
) WITHOUT ROWID;
INSERT INTO transaction_counts (list, level, block, part, count)
    SELECT 1, 0, number >> 10, connector_id, COUNT(*) FROM transactions GROUP BY 3, 4 UNION ALL
    SELECT 1, 1, number >> 15, connector_id, COUNT(*) FROM transactions GROUP BY 3, 4 UNION ALL
    SELECT 1, 2, number >> 20, connector_id, COUNT(*) FROM transactions GROUP BY 3, 4 UNION ALL
    SELECT 2, 0, started_at >> 28, connector_id, COUNT(*) FROM transactions GROUP BY 3, 4 UNION ALL
    SELECT 2, 1, started_at >> 33, connector_id, COUNT(*) FROM transactions GROUP BY 3, 4 UNION ALL
    SELECT 2, 2, started_at >> 38, connector_id, COUNT(*) FROM transactions GROUP BY 3, 4;
DELETE FROM server_facts WHERE name = 'transaction_count';
-- Those that are open are few, and lists of them and counts without them are read here; state: so that rows need not be read for a count.
CREATE INDEX transactions_open_order ON transactions (number, started_at, connector_id, state) WHERE state = 'open';
