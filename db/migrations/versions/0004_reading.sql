-- carbondesk 0004. {database} is replaced by the name of the database.
-- Whatever can be derived from tickets is derived off the write path, up to a recorded transaction, so that a reader
-- adds the few rows beyond it and is exact. A ticket itself is never touched: a rewritten row would have a new xmin.

SET LOCAL lock_timeout = '5s';

-- Newest first by any single field. Entries come in rising order, so each costs a write about a microsecond.
CREATE INDEX ticket_logs_entity_type ON ticket_logs (entity_type, year, number) WHERE entity_type IS NOT NULL;
CREATE INDEX ticket_logs_for_makers ON ticket_logs (year, number) WHERE market_maker_id IS NOT NULL;
CREATE INDEX ticket_logs_for_nobody ON ticket_logs (year, number) WHERE market_maker_id IS NULL;

-- Which numbers a window of time can hold.
CREATE INDEX ticket_leases_closed ON ticket_leases (closed_at, year, lo) WHERE closed_at IS NOT NULL;

-- A page reads keys from an index alone as long as the map of visible pages is fresh.
ALTER TABLE ticket_logs SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE TABLE ticket_folds (
    name text PRIMARY KEY CHECK (name IN ('counts', 'words')),
    txid xid8 NOT NULL
);
INSERT INTO ticket_folds (name, txid) VALUES ('counts', '0'), ('words', '0');

-- words of payloads -------------------------------------------------------------------------------------------------

-- Values without the names of fields, cut at everything that is neither letter nor digit: ids too are found by a part.
-- jsonb::text does not depend on settings, so this is immutable. Bounded, since a tsvector takes neither a long word
-- nor a megabyte: words are cut at 255 characters, payloads at 64 Ki.
CREATE FUNCTION ticket_payload_words(request jsonb, response jsonb, before jsonb, after jsonb)
RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_to_tsvector(array_agg(left(word, 255))), '')
    FROM regexp_split_to_table(
        lower(replace(replace(replace(
            left(concat_ws(' ', request::text, response::text, before::text, after::text), 65536),
            '\n', ' '), '\r', ' '), '\t', ' ')),
        '[^[:alnum:]]+([a-z]+": [^[:alnum:]]*)*') AS word
    WHERE word <> ''
$$;

CREATE TABLE ticket_payload_search (
    year integer NOT NULL,
    number bigint NOT NULL,
    search tsvector NOT NULL,
    PRIMARY KEY (year, number),
    FOREIGN KEY (year, number) REFERENCES ticket_payloads (year, number) ON DELETE CASCADE
);
CREATE INDEX ticket_payload_search_words ON ticket_payload_search USING gin (search) WITH (fastupdate = on);

-- counts ------------------------------------------------------------------------------------------------------------

-- detail: which of the columns are told apart; those that are not are NULL. Each detail is there in each grain.
CREATE TABLE ticket_counts (
    detail text NOT NULL CHECK (detail IN ('STATUS', 'ACTION', 'USER', 'FULL')),
    grain text NOT NULL CHECK (grain IN ('MINUTE', 'QUARTER', 'DAY', 'PERIOD')),
    starts_at timestamptz NOT NULL,
    status text NOT NULL,
    action_type text,
    error_code text,
    user_id uuid,
    market_maker_id uuid,
    tickets bigint NOT NULL CHECK (tickets > 0),
    last_at timestamptz NOT NULL,
    CONSTRAINT ticket_counts_key UNIQUE NULLS NOT DISTINCT
        (detail, grain, starts_at, status, action_type, error_code, user_id, market_maker_id)
) WITH (fillfactor = 80);
CREATE INDEX ticket_counts_user ON ticket_counts (user_id, grain, starts_at) WHERE detail = 'FULL';
CREATE INDEX ticket_counts_maker ON ticket_counts (market_maker_id, grain, starts_at) WHERE detail = 'FULL';

GRANT SELECT ON ticket_folds, ticket_counts TO "{database}_app", "{database}_sealer", "{database}_analyst";
GRANT SELECT ON ticket_payload_search TO "{database}_app", "{database}_sealer", "{database}_retention";
GRANT UPDATE (txid) ON ticket_folds TO "{database}_app";
GRANT INSERT, DELETE ON ticket_counts TO "{database}_app";
GRANT UPDATE (tickets, last_at) ON ticket_counts TO "{database}_app";
GRANT INSERT ON ticket_payload_search TO "{database}_app";
