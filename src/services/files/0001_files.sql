-- Files that people put here and stations are given: what each is. Its bytes are files/<file_id> of the data directory. Written by
-- the API; times are us since 1970.

CREATE TABLE files (
    file_id           TEXT PRIMARY KEY,            -- UUID v7
    name              TEXT NOT NULL,
    kind              TEXT NOT NULL,               -- firmware
    version           TEXT,
    note              TEXT,
    size_bytes        INTEGER NOT NULL,
    sha256            TEXT NOT NULL,               -- 64 hexadecimal digits in lower case
    byte_sum          INTEGER NOT NULL,            -- sum of all bytes, modulo 2^32
    created_at        INTEGER NOT NULL,
    created_by        TEXT NOT NULL                -- name of the key
);
CREATE INDEX files_order ON files (created_at, file_id);
