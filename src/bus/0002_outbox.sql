-- One row and one index a message instead of a row and two indexes, each of which said the topic's name again. place: the topic's number
-- (bus/topic.def) * 2^48 + position. Positions of a topic have no gap and rise in the order of commits, since one writer makes them. Whoever
-- trims a topic leaves its newest row, which the next position is counted from.
CREATE TABLE outbox_messages(
    place    INTEGER PRIMARY KEY,
    topic    INTEGER NOT NULL,
    key      TEXT    NOT NULL,
    event_id BLOB    NOT NULL,
    type     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    body     BLOB    NOT NULL  -- JSON, or packed: bus/topic.def
);
CREATE UNIQUE INDEX outbox_messages_id ON outbox_messages(event_id, topic);
INSERT INTO outbox_messages(place, topic, key, event_id, type, at, body)
    SELECT (1 << 48) + position, 1, key, event_id, type, at, CAST(json AS BLOB) FROM outbox
    WHERE topic = 'charging.session.events' ORDER BY position;
DROP TABLE outbox;
CREATE VIEW outbox(topic, position, key, event_id, type, at, body) AS
    SELECT topic, place - (topic << 48), key, event_id, type, at, body FROM outbox_messages;
