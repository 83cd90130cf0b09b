-- Charging sessions: one for each transaction of a station. Times are microseconds; energy Wh, power W; voltage, current and
-- temperature in thousandths. Columns that change with every reading are in no index.
CREATE TABLE charging_sessions(
    session_number   INTEGER PRIMARY KEY, -- rises with the time of first sight; the key of the tables below
    session_id       TEXT    NOT NULL UNIQUE,
    charge_point_id  TEXT    NOT NULL,
    transaction_id   TEXT    NOT NULL,
    connector_id     INTEGER NOT NULL,    -- 0: not known yet
    state            INTEGER NOT NULL,    -- line of STATE in session.def
    state_before     INTEGER NOT NULL,    -- what it returns to from interrupted
    is_active        INTEGER NOT NULL,
    id_tag           TEXT    NOT NULL,
    order_no         TEXT    NOT NULL,
    reservation_id   INTEGER,
    is_offline       INTEGER NOT NULL,
    started_at       INTEGER NOT NULL,    -- corrected; device_*: as the device said
    ended_at         INTEGER,
    device_started_at INTEGER,
    device_ended_at  INTEGER,
    last_at          INTEGER NOT NULL,    -- newest device time
    read_at          INTEGER,             -- of the newest reading
    last_update      INTEGER NOT NULL,    -- newest receipt
    meter_start_wh   INTEGER,
    meter_stop_wh    INTEGER,
    base_wh          INTEGER,             -- lowest register seen, where no start said one
    register_wh      INTEGER,             -- newest register seen
    energy_wh        INTEGER NOT NULL,
    energy_source    INTEGER NOT NULL,    -- line of SOURCE
    integral_wms     INTEGER NOT NULL,    -- power over time, where no register is seen
    power_at         INTEGER,
    max_power_w      INTEGER,
    power_w          INTEGER,
    voltage_m        INTEGER,
    current_m        INTEGER,
    temperature_m    INTEGER,
    flags            INTEGER NOT NULL,    -- bits by line of FLAG
    stop_reason      TEXT    NOT NULL,
    stop_id_tag      TEXT    NOT NULL,
    reading_count    INTEGER NOT NULL,
    history_count    INTEGER NOT NULL,
    sequence         INTEGER NOT NULL,    -- of the events about it
    UNIQUE(charge_point_id, transaction_id)
);
CREATE INDEX charging_sessions_active ON charging_sessions(charge_point_id) WHERE is_active=1;
CREATE INDEX charging_sessions_started ON charging_sessions(started_at);
CREATE INDEX charging_sessions_station ON charging_sessions(charge_point_id, started_at);
CREATE INDEX charging_sessions_tag ON charging_sessions(id_tag, started_at);

CREATE TABLE charging_curve(
    session_number INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    power_w        INTEGER,
    register_wh    INTEGER,
    voltage_m      INTEGER,
    current_m      INTEGER,
    temperature_m  INTEGER,
    PRIMARY KEY(session_number, at)
) WITHOUT ROWID;

-- What happened to a session, in order; readings only where they changed its state.
CREATE TABLE charging_session_events(
    session_number INTEGER NOT NULL,
    ordinal        INTEGER NOT NULL,
    event_type     TEXT    NOT NULL,
    event_id       TEXT,                  -- NULL: no event but time itself
    at             INTEGER NOT NULL,
    received_at    INTEGER NOT NULL,
    state_from     INTEGER NOT NULL,
    state_to       INTEGER NOT NULL,
    detail         TEXT    NOT NULL,
    PRIMARY KEY(session_number, ordinal)
) WITHOUT ROWID;

CREATE TABLE charging_statistics(
    name  TEXT PRIMARY KEY,               -- of STATISTIC in session.def
    value INTEGER NOT NULL
) WITHOUT ROWID;
