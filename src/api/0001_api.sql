-- Keys of the API, first answers of requests with an Idempotency-Key, and counts of what is too long to be counted.

CREATE TABLE api_keys (
    api_key_id        TEXT PRIMARY KEY,
    name              TEXT NOT NULL,
    role              TEXT NOT NULL,               -- viewer, operator, admin
    key_hash          BLOB NOT NULL UNIQUE,        -- SHA-256 of the key's text; the key itself is nowhere
    is_first          INTEGER NOT NULL DEFAULT 0,  -- the one whose text is in admin.key
    created_at        INTEGER NOT NULL
);
CREATE INDEX api_keys_order ON api_keys (created_at, api_key_id);

CREATE TABLE api_first_answers (
    api_key_id        TEXT NOT NULL,
    idempotency_key   TEXT NOT NULL,
    request_hash      BLOB NOT NULL,               -- SHA-256 of method, path and body
    status            INTEGER NOT NULL,
    location          TEXT,
    answer            TEXT NOT NULL,
    created_at        INTEGER NOT NULL,
    PRIMARY KEY (api_key_id, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX api_first_answers_age ON api_first_answers (created_at);

-- A list's total without a filter is read, not counted: transactions are many.
CREATE TABLE api_totals (
    name              TEXT PRIMARY KEY,
    total             INTEGER NOT NULL
);
INSERT INTO api_totals (name, total) SELECT 'transactions', COUNT(*) FROM transactions;
CREATE TRIGGER api_totals_transactions_more AFTER INSERT ON transactions BEGIN
    UPDATE api_totals SET total = total + 1 WHERE name = 'transactions';
END;
CREATE TRIGGER api_totals_transactions_less AFTER DELETE ON transactions BEGIN
    UPDATE api_totals SET total = total - 1 WHERE name = 'transactions';
END;
