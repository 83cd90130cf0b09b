-- What is written of a new session goes behind what was written of those before it, or among those of the same five hours, and no longer into a page
-- of its station, and others of its tag and its transaction, however many of these there are. A table that a constraint is to go from is made anew.
--
-- block: started_at >> 34. A list of a station goes from block to block (charging_session_blocks), newest or oldest first, and finds the station in
-- each.
-- transaction_key: of a transaction whose id is one of ours, the number that the id was made of: in the order in which they began. NULL: another
-- id, or a row that is older than this column.
ALTER TABLE charging_sessions RENAME TO charging_sessions_before;
CREATE TABLE charging_sessions(
    session_number   INTEGER PRIMARY KEY, -- rises with the time of first sight; the key of the tables below
    session_id       TEXT    NOT NULL UNIQUE,
    charge_point_id  TEXT    NOT NULL,
    transaction_id   TEXT    NOT NULL,
    transaction_key  INTEGER,
    block            INTEGER NOT NULL,
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
    tier_power_w     INTEGER,
    idle_s           INTEGER,
    stop_code        TEXT    NOT NULL DEFAULT ''
);
INSERT INTO charging_sessions(session_number, session_id, charge_point_id, transaction_id, block, connector_id, state, state_before, is_active, id_tag,
        order_no, reservation_id, is_offline, started_at, ended_at, device_started_at, device_ended_at, last_at, read_at, last_update, meter_start_wh,
        meter_stop_wh, base_wh, register_wh, energy_wh, energy_source, integral_wms, power_at, max_power_w, power_w, voltage_m, current_m,
        temperature_m, flags, stop_reason, stop_id_tag, reading_count, history_count, sequence, tier_power_w, idle_s, stop_code)
    SELECT session_number, session_id, charge_point_id, transaction_id, started_at >> 34, connector_id, state, state_before, is_active, id_tag,
        order_no, reservation_id, is_offline, started_at, ended_at, device_started_at, device_ended_at, last_at, read_at, last_update, meter_start_wh,
        meter_stop_wh, base_wh, register_wh, energy_wh, energy_source, integral_wms, power_at, max_power_w, power_w, voltage_m, current_m,
        temperature_m, flags, stop_reason, stop_id_tag, reading_count, history_count, sequence, tier_power_w, idle_s, stop_code
    FROM charging_sessions_before ORDER BY session_number;
DROP TABLE charging_sessions_before;
CREATE UNIQUE INDEX charging_sessions_key ON charging_sessions(transaction_key, charge_point_id) WHERE transaction_key IS NOT NULL;
CREATE UNIQUE INDEX charging_sessions_id ON charging_sessions(transaction_id, charge_point_id) WHERE transaction_key IS NULL;
CREATE INDEX charging_sessions_active ON charging_sessions(charge_point_id) WHERE is_active=1;
CREATE INDEX charging_sessions_started ON charging_sessions(started_at);
CREATE INDEX charging_sessions_state ON charging_sessions(state, started_at);
CREATE INDEX charging_sessions_station ON charging_sessions(block, charge_point_id, started_at);
CREATE INDEX charging_sessions_tag ON charging_sessions(block, id_tag, started_at);
CREATE TABLE charging_session_blocks(block INTEGER PRIMARY KEY);
INSERT INTO charging_session_blocks(block) SELECT DISTINCT block FROM charging_sessions;
