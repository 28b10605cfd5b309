-- The catalog: what the service knows of tenants, profiles, runs and who did what.
--
-- One text for SQLite and PostgreSQL: columns are TEXT or BIGINT. Times are milliseconds since 1970 (UTC), documents
-- are JSON, digests 64 hex digits. Every table begins with the tenant, and so does every key (INV-TENANT).

-- Numbers within a tenant are counted here. Whoever takes one holds the row until the end of the transaction, so
-- numbers appear in their order and without gaps: a reader that saw event 7 has seen all before it.
CREATE TABLE tenants (
    tenant TEXT NOT NULL PRIMARY KEY,
    created_ms BIGINT NOT NULL,
    last_run BIGINT NOT NULL DEFAULT 0,
    last_event BIGINT NOT NULL DEFAULT 0,
    last_audit BIGINT NOT NULL DEFAULT 0,
    -- Hash of the last entry of the audit log.
    audit_head TEXT NOT NULL
);

-- A revision never changes. A profile is its newest revision; one without a document says that it was deleted.
CREATE TABLE export_profiles (
    tenant TEXT NOT NULL REFERENCES tenants (tenant),
    name TEXT NOT NULL,
    revision BIGINT NOT NULL,
    document TEXT,
    created_ms BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (tenant, name, revision)
);

CREATE TABLE export_runs (
    tenant TEXT NOT NULL REFERENCES tenants (tenant),
    run BIGINT NOT NULL,
    profile TEXT NOT NULL,
    -- The revision that was asked for; 0 for a profile that is built in.
    revision BIGINT NOT NULL,
    -- What was asked for, as a document.
    request TEXT NOT NULL,
    retry_of BIGINT,
    created_ms BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    -- The state of the run, and how often it changed: it is replaced only where the version is the one that was read.
    state TEXT NOT NULL,
    version BIGINT NOT NULL,
    -- What of the state is asked for by others.
    status TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    wakes_ms BIGINT,
    started_ms BIGINT,
    finished_ms BIGINT,
    plan_hash TEXT,
    export_digest TEXT,
    -- Digest of the names and digests of all files of the bundle, which the depot has it under, and their bytes.
    bundle TEXT,
    bundle_bytes BIGINT,
    -- Since when the bundle need not be kept any more.
    released_ms BIGINT,
    error_code TEXT,
    PRIMARY KEY (tenant, run)
);
CREATE INDEX export_runs_due ON export_runs (wakes_ms) WHERE wakes_ms IS NOT NULL;
CREATE INDEX export_runs_bundles ON export_runs (tenant, bundle) WHERE bundle IS NOT NULL AND released_ms IS NULL;
CREATE INDEX export_runs_live ON export_runs (tenant, status) WHERE finished_ms IS NULL;

-- What the snapshot of a run held, set by set. Sequences are cursors of one ledger and enter no hash.
CREATE TABLE export_inputs (
    tenant TEXT NOT NULL,
    run BIGINT NOT NULL,
    kind TEXT NOT NULL,
    feed TEXT NOT NULL,
    records BIGINT NOT NULL,
    root TEXT NOT NULL,
    ledger TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    PRIMARY KEY (tenant, run, kind, feed),
    FOREIGN KEY (tenant, run) REFERENCES export_runs (tenant, run)
);

CREATE TABLE export_distributions (
    tenant TEXT NOT NULL,
    run BIGINT NOT NULL,
    target TEXT NOT NULL,
    -- pending, delivered, verified or failed.
    state TEXT NOT NULL,
    export_digest TEXT,
    bytes BIGINT,
    changed_ms BIGINT NOT NULL,
    error_code TEXT,
    PRIMARY KEY (tenant, run, target),
    FOREIGN KEY (tenant, run) REFERENCES export_runs (tenant, run)
);

CREATE TABLE export_events (
    tenant TEXT NOT NULL REFERENCES tenants (tenant),
    event BIGINT NOT NULL,
    run BIGINT,
    at_ms BIGINT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (tenant, event)
);
CREATE INDEX export_events_of_runs ON export_events (tenant, run, event);

-- Each entry has the hash of the one before in its own.
CREATE TABLE audit_log (
    tenant TEXT NOT NULL REFERENCES tenants (tenant),
    entry BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    outcome TEXT NOT NULL,
    details TEXT NOT NULL,
    trace TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (tenant, entry)
);

-- Of a token only its hash is kept.
CREATE TABLE api_tokens (
    tenant TEXT NOT NULL REFERENCES tenants (tenant),
    token TEXT NOT NULL,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    -- Words with spaces between them.
    scopes TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_ms BIGINT NOT NULL,
    revoked_ms BIGINT,
    used_ms BIGINT,
    PRIMARY KEY (tenant, token)
);

-- A limit that is absent does not limit.
CREATE TABLE quotas (
    tenant TEXT NOT NULL REFERENCES tenants (tenant) PRIMARY KEY,
    concurrent_runs BIGINT,
    queued_runs BIGINT,
    bytes_per_day BIGINT,
    stored_bytes BIGINT
);

-- Bytes that bundles of a tenant had, by day since 1970.
CREATE TABLE usage_days (
    tenant TEXT NOT NULL REFERENCES tenants (tenant),
    day BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (tenant, day)
);

CREATE TABLE idempotency_keys (
    tenant TEXT NOT NULL REFERENCES tenants (tenant),
    idempotency_key TEXT NOT NULL,
    -- Digest of the request that came with the key first.
    request TEXT NOT NULL,
    -- What the request made.
    result TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, idempotency_key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (tenant, created_ms);
