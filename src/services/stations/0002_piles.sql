-- AP3000: what a pile said of itself and what a person set for it, its orders, transfers of firmware. All of it is made from the
-- log but piles.iccid_binding, which the API writes. Times are us since 1970.

CREATE TABLE piles (
    charge_point_id   TEXT PRIMARY KEY,
    physical_id       INTEGER NOT NULL DEFAULT 0,  -- all 32 bits; 0: none was seen yet
    iccid             TEXT,
    iccid_binding     TEXT,                        -- the only card it may come by
    host              TEXT,                        -- charge_point_id of the host that it is a slave of
    firmware          INTEGER,                     -- 126: V1.26
    device_type       INTEGER,
    port_count        INTEGER,
    virtual_id        INTEGER,
    work_mode         INTEGER,
    power_board       INTEGER,
    host_type         INTEGER,
    host_firmware     INTEGER,
    imei              TEXT,
    heartbeat_style   TEXT,
    heartbeat_s       INTEGER
) WITHOUT ROWID;

-- An order is known for ever, so that its settlement is the same one after years (ap3000.md 10.4).
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
    reason            TEXT,
    placed_at         INTEGER NOT NULL,            -- when it was heard of first: their order
    started_at        INTEGER,                     -- before that where it began at the pile
    changed_at        INTEGER NOT NULL,            -- its state
    PRIMARY KEY (charge_point_id, order_key)
) WITHOUT ROWID;
CREATE INDEX orders_open ON orders (charge_point_id) WHERE state NOT IN ('failed', 'settled');
CREATE INDEX orders_number ON orders (number);
CREATE INDEX orders_station ON orders (charge_point_id, changed_at);

CREATE TABLE firmware_jobs (
    job_id            TEXT PRIMARY KEY,
    charge_point_id   TEXT NOT NULL,
    file_id           TEXT,
    command           INTEGER,
    state             TEXT NOT NULL,               -- words of firmware.status_changed
    packet            INTEGER,
    packets           INTEGER,
    reason            TEXT,
    size_bytes        INTEGER,                     -- of the image; what follows is what it is for
    byte_sum          INTEGER,
    version           INTEGER,
    device_type       INTEGER,
    check_packet      INTEGER,
    started_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX firmware_jobs_station ON firmware_jobs (charge_point_id, started_at);

ALTER TABLE transactions ADD COLUMN order_no TEXT;
ALTER TABLE id_tags ADD COLUMN balance_minor INTEGER;
ALTER TABLE id_tags ADD COLUMN rate_mode INTEGER;
