-- carbondesk 0003. {database} is replaced by the name of the database.
-- A ticket carries the HMAC of its payload, so that its digest can be recomputed when the payload was erased.
-- The tree of sealed tickets: leaves, the inner nodes that proofs need, signed checkpoints, and where the sealer stands.
-- Only the sealer's role inserts here; nobody changes anything but the one row of audit_head.

SET LOCAL lock_timeout = '5s';

-- What an owner rewrote on purpose, so that the laws about transaction ids can tell it from a forgery.
CREATE TABLE rewrites (
    txid xid8 PRIMARY KEY DEFAULT pg_current_xact_id(),
    revision text NOT NULL,
    rewritten_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

ALTER TABLE ticket_logs ADD COLUMN payload_hmac bytea CHECK (length(payload_hmac) = 32);

-- Voids are sealed in the order of their transactions, as tickets are.
ALTER TABLE ticket_voids ADD COLUMN txid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX ticket_voids_horizon ON ticket_voids (txid, year, lo);

-- number: of a void its first one. What a leaf binds stands in domain/seals.py.
CREATE TABLE audit_leaves (
    leaf_index bigint PRIMARY KEY CHECK (leaf_index >= 0),
    kind text NOT NULL CHECK (kind IN ('ticket', 'void')),
    year integer NOT NULL,
    number bigint NOT NULL,
    leaf_hash bytea NOT NULL CHECK (length(leaf_hash) = 32),
    UNIQUE (kind, year, number)
);

-- Roots of complete subtrees of 256, 65,536 … leaves: a proof reads some hundreds of hashes, however large the tree.
CREATE TABLE audit_nodes (
    level integer NOT NULL CHECK (level > 0 AND level % 8 = 0),
    node_index bigint NOT NULL CHECK (node_index >= 0),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, node_index)
);

CREATE TABLE audit_checkpoints (
    size bigint PRIMARY KEY CHECK (size >= 1),
    root bytea NOT NULL CHECK (length(root) = 32),
    note text NOT NULL CHECK (length(note) <= 2000),
    previous_note_sha256 bytea CHECK (length(previous_note_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row, locked by whoever seals. frontier: the roots of the complete subtrees, largest first, 32 bytes each.
-- sealed_below: every ticket of an earlier transaction is sealed. key: name and public key that sign, once there is one.
-- alarm: what stopped the sealer, in words.
CREATE TABLE audit_head (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    size bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
    frontier bytea NOT NULL DEFAULT '' CHECK (length(frontier) % 32 = 0),
    sealed_below xid8 NOT NULL DEFAULT '0',
    key text,
    alarm text
);
INSERT INTO audit_head DEFAULT VALUES;

-- What retention took out: the payloads of tickets older than `before` that stood in the tree of that size.
CREATE TABLE payload_archives (
    id uuid PRIMARY KEY,
    tree_size bigint NOT NULL CHECK (tree_size >= 1),
    before timestamptz NOT NULL,
    payloads bigint NOT NULL CHECK (payloads >= 1),
    manifest_sha256 bytea NOT NULL CHECK (length(manifest_sha256) = 32),
    ticket_id ticket_id NOT NULL,
    ticket_status text NOT NULL DEFAULT 'SUCCESS' CHECK (ticket_status = 'SUCCESS'),
    FOREIGN KEY (ticket_id, ticket_status) REFERENCES ticket_logs (ticket_id, status) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX payload_archives_ticket ON payload_archives (ticket_id);

-- append-only; the row of audit_head may be changed, never added to or taken away ----------------------------------------

DO $$
DECLARE table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['audit_leaves', 'audit_nodes', 'audit_checkpoints', 'payload_archives', 'rewrites'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', table_name);
        EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', table_name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', table_name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only_truncate', table_name);
    END LOOP;
END $$;
CREATE TRIGGER append_only BEFORE DELETE ON audit_head FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audit_head FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER append_only_truncate;

-- rights ----------------------------------------------------------------------------------------------------------------

GRANT INSERT (payload_hmac) ON ticket_logs TO "{database}_app";
GRANT SELECT ON audit_leaves, audit_nodes, audit_checkpoints, audit_head, payload_archives
    TO "{database}_app", "{database}_sealer", "{database}_retention", "{database}_analyst";
GRANT SELECT ON rewrites TO "{database}_app", "{database}_sealer";
GRANT INSERT (id, tree_size, before, payloads, manifest_sha256, ticket_id) ON payload_archives TO "{database}_app";
GRANT INSERT (leaf_index, kind, year, number, leaf_hash) ON audit_leaves TO "{database}_sealer";
GRANT INSERT (level, node_index, hash) ON audit_nodes TO "{database}_sealer";
GRANT INSERT (size, root, note, previous_note_sha256) ON audit_checkpoints TO "{database}_sealer";
GRANT UPDATE (size, frontier, sealed_below, key, alarm) ON audit_head TO "{database}_sealer";
