-- The points that one batch adds to a curve are one row, since a row each cost more than all else that follows from a reading. Blocks of a
-- session do not overlap. Who wants points asks the view.
CREATE TABLE charging_curve_blocks(
    session_number INTEGER NOT NULL,
    first          INTEGER NOT NULL, -- time of its first point
    last           INTEGER NOT NULL, -- and of its last
    points         TEXT    NOT NULL, -- JSON: [[at - first, power_w, register_wh, voltage_m, current_m, temperature_m], ..], rising; nulls at
                                     -- the end of a point are left out
    PRIMARY KEY(session_number, first)
) WITHOUT ROWID;
INSERT INTO charging_curve_blocks(session_number, first, last, points)
    SELECT session_number, at, at, json_array(json_array(0, power_w, register_wh, voltage_m, current_m, temperature_m))
    FROM charging_curve;
DROP TABLE charging_curve;
CREATE VIEW charging_curve(session_number, at, power_w, register_wh, voltage_m, current_m, temperature_m) AS
    SELECT b.session_number, b.first + json_extract(p.value, '$[0]'), json_extract(p.value, '$[1]'),
           json_extract(p.value, '$[2]'), json_extract(p.value, '$[3]'), json_extract(p.value, '$[4]'),
           json_extract(p.value, '$[5]')
    FROM charging_curve_blocks b, json_each(b.points) p;
