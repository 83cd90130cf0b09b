-- Where each consumer of the log stands: all up to this position is in the tables.
CREATE TABLE consumers(
    name     TEXT PRIMARY KEY,
    position INTEGER NOT NULL
);

-- Events that wait: the first of a station failed, the others wait behind it, in order of position. Exactly the first of each
-- (consumer, station) has a next_try_at. record: the event as the log holds it, for the log may drop it meanwhile.
CREATE TABLE parked(
    consumer        TEXT    NOT NULL,
    station         TEXT    NOT NULL,
    position        INTEGER NOT NULL,
    event_id        TEXT    NOT NULL,
    record          BLOB    NOT NULL,
    attempts        INTEGER NOT NULL, -- 0: it only waits behind another
    next_try_at     INTEGER,
    first_failed_at INTEGER,
    error           TEXT,
    PRIMARY KEY(consumer, station, position)
);
CREATE INDEX parked_due ON parked(consumer, next_try_at) WHERE next_try_at IS NOT NULL;

-- Events that a consumer gave up, until a person retries or discards them.
CREATE TABLE dead_letters(
    dead_letter_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer        TEXT    NOT NULL,
    event_id        TEXT    NOT NULL,
    position        INTEGER NOT NULL,
    station         TEXT    NOT NULL,
    event_type      TEXT    NOT NULL,
    attempts        INTEGER NOT NULL,
    error           TEXT    NOT NULL,
    first_failed_at INTEGER NOT NULL,
    last_failed_at  INTEGER NOT NULL,
    event_json      TEXT    NOT NULL, -- as published
    record          BLOB    NOT NULL, -- as in the log: what a retry applies
    UNIQUE(consumer, position)
);

-- Events of this program's services. Positions of a topic have no gap and rise in the order of commits, since one writer
-- makes them. Whoever trims a topic leaves its newest row, which the next position is counted from.
CREATE TABLE outbox(
    topic    TEXT    NOT NULL,
    position INTEGER NOT NULL,
    key      TEXT    NOT NULL,
    event_id BLOB    NOT NULL,
    type     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    json     TEXT    NOT NULL,
    PRIMARY KEY(topic, position),
    UNIQUE(topic, event_id)
);
