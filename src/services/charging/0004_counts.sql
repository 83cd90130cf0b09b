-- How many sessions began in each stretch of time: what a list of them is counted by, and where one of its pages begins
-- (store/counted.h; services/charging/counts.h has the widths).
CREATE TABLE charging_session_counts(
    list  INTEGER NOT NULL,               -- 1: by started_at
    level INTEGER NOT NULL,
    block INTEGER NOT NULL,
    part  INTEGER NOT NULL,               -- 0: active; else the state in which it ended
    count INTEGER NOT NULL,
    PRIMARY KEY(list, level, block, part)
) WITHOUT ROWID;
INSERT INTO charging_session_counts(list, level, block, part, count)
    SELECT 1, 0, started_at >> 28, CASE WHEN is_active=1 THEN 0 ELSE state END, count(*)
    FROM charging_sessions GROUP BY 3, 4 UNION ALL
    SELECT 1, 1, started_at >> 33, CASE WHEN is_active=1 THEN 0 ELSE state END, count(*)
    FROM charging_sessions GROUP BY 3, 4 UNION ALL
    SELECT 1, 2, started_at >> 38, CASE WHEN is_active=1 THEN 0 ELSE state END, count(*)
    FROM charging_sessions GROUP BY 3, 4;
-- Sessions of a state are read in their order without those between, of which there may be a million: so few are active, or failed.
CREATE INDEX charging_sessions_state ON charging_sessions(state, started_at);
