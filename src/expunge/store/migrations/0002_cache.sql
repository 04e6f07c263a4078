-- The index of the purgeable cache: what may be thrown away, and for which requests it was made.
CREATE TABLE cache (
    key TEXT PRIMARY KEY NOT NULL,
    ready INTEGER NOT NULL DEFAULT 0,
    digest TEXT NOT NULL DEFAULT '',
    size INTEGER NOT NULL DEFAULT 0,
    used REAL NOT NULL
);

CREATE TABLE cache_requests (
    key TEXT NOT NULL REFERENCES cache (key) ON DELETE CASCADE,
    request TEXT NOT NULL,
    PRIMARY KEY (key, request)
);

CREATE INDEX cache_by_request ON cache_requests (request);
CREATE INDEX cache_by_use ON cache (used);
