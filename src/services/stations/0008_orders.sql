-- Orders of piles as 0007 has it for transactions: rows lie in the order in which they came, and not by pile; an order is found by its number, which
-- begins with its time; block: changed_at >> 34, by which those of a pile that changed last are found (order_blocks).
ALTER TABLE orders RENAME TO orders_before;
CREATE TABLE orders (
    charge_point_id   TEXT NOT NULL,
    order_key         TEXT NOT NULL,               -- its number, where numbers repeat with the content of its settlement
    order_no          TEXT NOT NULL,               -- 32 hexadecimal digits
    number            INTEGER NOT NULL,            -- of its transaction
    transaction_id    TEXT NOT NULL,
    state             TEXT NOT NULL,
    start_mode        INTEGER,
    connector_id      INTEGER,
    id_tag            TEXT,
    command_id        TEXT,
    content           TEXT,                        -- of its first settlement, 16 hexadecimal digits
    is_told           INTEGER NOT NULL DEFAULT 0,  -- transaction.started is out
    is_cancelled      INTEGER NOT NULL DEFAULT 0,
    is_held           INTEGER NOT NULL DEFAULT 0,  -- failed, and may run all the same for two minutes from changed_at
    reason            TEXT,
    placed_at         INTEGER NOT NULL,            -- when it was heard of first: their order
    started_at        INTEGER,                     -- before that where it began at the pile
    changed_at        INTEGER NOT NULL,            -- its state
    block             INTEGER NOT NULL
);
INSERT INTO orders (charge_point_id, order_key, order_no, number, transaction_id, state, start_mode, connector_id, id_tag, command_id, content, is_told,
        is_cancelled, is_held, reason, placed_at, started_at, changed_at, block)
    SELECT charge_point_id, order_key, order_no, number, transaction_id, state, start_mode, connector_id, id_tag, command_id, content, is_told,
        is_cancelled, is_held, reason, placed_at, started_at, changed_at, changed_at >> 34 FROM orders_before ORDER BY number;
DROP TABLE orders_before;
CREATE UNIQUE INDEX orders_key ON orders (order_key, charge_point_id);
CREATE INDEX orders_number ON orders (number);
CREATE INDEX orders_open ON orders (charge_point_id) WHERE state NOT IN ('failed', 'settled');
CREATE INDEX orders_station ON orders (block, charge_point_id, changed_at);
CREATE TABLE order_blocks (block INTEGER PRIMARY KEY);
INSERT INTO order_blocks (block) SELECT DISTINCT block FROM orders;
