-- Requests, runs, and the evidence chain: append-only.
CREATE TABLE requests (
    id TEXT PRIMARY KEY NOT NULL,
    created TEXT NOT NULL
);

CREATE TABLE runs (
    id TEXT PRIMARY KEY NOT NULL,
    request TEXT NOT NULL REFERENCES requests (id),
    created TEXT NOT NULL
);

CREATE TABLE evidence (
    number INTEGER PRIMARY KEY NOT NULL,
    request TEXT NOT NULL REFERENCES requests (id),
    run TEXT REFERENCES runs (id),
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    created TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);

CREATE INDEX evidence_by_request ON evidence (request);
CREATE INDEX evidence_by_run ON evidence (run);

CREATE TRIGGER requests_keep BEFORE UPDATE ON requests BEGIN SELECT RAISE(ABORT, 'requests are append-only'); END;
CREATE TRIGGER requests_stay BEFORE DELETE ON requests BEGIN SELECT RAISE(ABORT, 'requests are append-only'); END;
CREATE TRIGGER requests_new BEFORE INSERT ON requests
WHEN EXISTS (SELECT 1 FROM requests WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'requests are append-only'); END;

CREATE TRIGGER runs_keep BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'runs are append-only'); END;
CREATE TRIGGER runs_stay BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'runs are append-only'); END;
CREATE TRIGGER runs_new BEFORE INSERT ON runs
WHEN EXISTS (SELECT 1 FROM runs WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'runs are append-only'); END;

CREATE TRIGGER evidence_keep BEFORE UPDATE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
CREATE TRIGGER evidence_stay BEFORE DELETE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
-- INSERT OR REPLACE deletes without firing delete triggers: a new row must be the next one and name the last hash.
CREATE TRIGGER evidence_next BEFORE INSERT ON evidence
WHEN NEW.number <> (SELECT COALESCE(MAX(number), 0) + 1 FROM evidence)
    OR NEW.previous <> COALESCE((SELECT hash FROM evidence ORDER BY number DESC LIMIT 1), '')
BEGIN SELECT RAISE(ABORT, 'evidence is appended at the end of its chain'); END;
