-- What is known of stations, connectors, transactions, commands, quarantine and tags: made from the log by the consumer
-- "stations" (but id_tags and the columns of charge_points that a person sets, which the API writes). Times are us since 1970.

CREATE TABLE charge_points (
    charge_point_id   TEXT PRIMARY KEY,
    -- set by a person
    name              TEXT,
    registration      TEXT NOT NULL,               -- accepted, pending, rejected; unknown: connected, not decided yet
    security_profile  INTEGER NOT NULL DEFAULT 0,
    secret_salt       BLOB,
    secret_hash       BLOB,                        -- HMAC-SHA-256 of the key's bytes
    secret_text_hash  BLOB,                        -- of its hexadecimal text in lower case, where the key came as such
    tags              TEXT,                        -- JSON list of text
    location          TEXT,                        -- JSON object
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    -- told by the station
    protocol          TEXT,
    vendor            TEXT,
    model             TEXT,
    firmware_version  TEXT,
    serial_number     TEXT,
    iccid             TEXT,
    imsi              TEXT,
    meter_type        TEXT,
    meter_serial_number TEXT,
    booted_at         INTEGER,
    -- seen by the gateway
    online            INTEGER NOT NULL DEFAULT 0,
    gateway_id        TEXT,
    remote_address    TEXT,
    connected_since   INTEGER,
    disconnected_at   INTEGER,
    last_seen         INTEGER,
    generation        INTEGER NOT NULL DEFAULT 0,
    sequence          INTEGER NOT NULL DEFAULT 0,
    clock_skew_ms     INTEGER,
    recent_contents   BLOB,                        -- keys of the newest messages known by content, oldest first: their repeats
                                                   -- are known after a restart too
    event_count       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX charge_points_online ON charge_points (online, charge_point_id);
CREATE INDEX charge_points_registration ON charge_points (registration, charge_point_id);

CREATE TABLE connectors (
    charge_point_id   TEXT NOT NULL,
    connector_id      INTEGER NOT NULL,            -- 0: the station itself
    status            TEXT,
    error_code        TEXT,
    info              TEXT,
    vendor_error_code TEXT,
    since             INTEGER,                     -- of this status
    updated_at        INTEGER,
    PRIMARY KEY (charge_point_id, connector_id)
) WITHOUT ROWID;

-- number counts the starts of this server: the transaction id is its keyed permutation (base/id.h), so the table grows at
-- its end however the ids look, and an id is found without an index of its own.
CREATE TABLE transactions (
    number            INTEGER PRIMARY KEY,
    transaction_id    TEXT NOT NULL,
    charge_point_id   TEXT NOT NULL,
    connector_id      INTEGER NOT NULL,
    id_tag            TEXT NOT NULL,
    id_tag_status     TEXT,                        -- the verdict that the start was answered with
    state             TEXT NOT NULL,               -- open, closed
    started_at        INTEGER NOT NULL,            -- device time where it is believable, else time of receipt
    meter_start_wh    INTEGER NOT NULL,
    stopped_at        INTEGER,
    meter_stop_wh     INTEGER,
    energy_wh         INTEGER,
    stop_reason       TEXT,
    stop_id_tag       TEXT,
    device_started_at INTEGER,
    device_stopped_at INTEGER,
    received_at       INTEGER NOT NULL,
    flags             TEXT NOT NULL DEFAULT '',    -- words separated by blanks
    stop_key          INTEGER NOT NULL DEFAULT 0,  -- of the content of the first stop
    position          INTEGER NOT NULL             -- of its start in the log
);
CREATE INDEX transactions_station ON transactions (charge_point_id, number);
CREATE INDEX transactions_repeat ON transactions (charge_point_id, device_started_at);
CREATE INDEX transactions_tag ON transactions (id_tag, number);
CREATE INDEX transactions_started ON transactions (started_at, number);
CREATE INDEX transactions_open ON transactions (charge_point_id, connector_id) WHERE state = 'open';

-- Where in the log the readings of a transaction are: a row for those of one batch of the consumer, since a row each would cost
-- more than all else that follows from a reading. Who reads asks the view.
CREATE TABLE transaction_reading_blocks (
    number            INTEGER NOT NULL,
    first             INTEGER NOT NULL,            -- of the positions
    is_named          INTEGER NOT NULL,            -- the station said the transaction's id: it knows it
    positions         TEXT NOT NULL,               -- JSON list of numbers, rising
    PRIMARY KEY (number, first)
) WITHOUT ROWID;

CREATE VIEW transaction_readings (number, position, is_named) AS
    SELECT b.number, p.value, b.is_named FROM transaction_reading_blocks b, json_each(b.positions) p;

CREATE TABLE commands (
    command_id        TEXT PRIMARY KEY,
    charge_point_id   TEXT NOT NULL,
    action            TEXT NOT NULL,
    payload           TEXT NOT NULL,
    origin            TEXT NOT NULL,               -- api, server
    state             TEXT NOT NULL,               -- queued, sent, done
    outcome           TEXT,                        -- answered, not_sent, unknown
    status            TEXT,
    response          TEXT,
    reason            TEXT,
    urgent            INTEGER NOT NULL DEFAULT 0,
    queued_at         INTEGER NOT NULL,
    sent_at           INTEGER,
    done_at           INTEGER,
    expires_at        INTEGER NOT NULL,
    trace_id          TEXT NOT NULL,
    message_id        TEXT,
    position          INTEGER NOT NULL
);
CREATE INDEX commands_station ON commands (charge_point_id, position);
CREATE INDEX commands_open ON commands (state) WHERE state <> 'done';

CREATE TABLE quarantine (
    quarantine_id     TEXT PRIMARY KEY,
    position          INTEGER NOT NULL,
    charge_point_id   TEXT NOT NULL,
    action            TEXT NOT NULL,
    reason            TEXT NOT NULL,
    message_id        TEXT NOT NULL,
    connector_id      INTEGER,
    transaction_id    TEXT,
    suggestion        TEXT,
    frame             TEXT NOT NULL,
    received_at       INTEGER NOT NULL,
    state             TEXT NOT NULL,               -- open, applied, discarded
    resolved_at       INTEGER,
    resolved_by       TEXT,
    applied_to        TEXT
);
CREATE INDEX quarantine_order ON quarantine (position);
CREATE INDEX quarantine_open ON quarantine (state, position);
CREATE INDEX quarantine_station ON quarantine (charge_point_id, position);

CREATE TABLE id_tags (
    tag_key           TEXT PRIMARY KEY,            -- the tag in lower case: tags compare without case
    id_tag            TEXT NOT NULL,               -- as it was written
    status            TEXT NOT NULL,               -- accepted, blocked
    expires_at        INTEGER,
    parent_id_tag     TEXT,
    max_concurrent    INTEGER,                     -- NULL: authorization.max_concurrent; 0: any number
    note              TEXT,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
);

-- Numbers and keys that are made once: name -> value.
CREATE TABLE server_facts (
    name              TEXT PRIMARY KEY,
    value             BLOB NOT NULL
);
