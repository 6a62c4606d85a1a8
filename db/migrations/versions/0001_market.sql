-- carbondesk 0001. {database} is replaced by the name of the database.
-- Closed sets are text with a CHECK: adding a value is one line, and arrays of them need no type of their own.
-- Every figure is numeric with a CHECK on range and scale; NaN fails "<=", numeric(p,s) would round silently.
-- Every foreign key to a ticket is deferred and names the status too: a FAILED ticket can have no effects, and a
-- ticket may be written last in its transaction.

SET LOCAL lock_timeout = '5s';

-- roles -------------------------------------------------------------------------------------------------------------

DO $$
DECLARE role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['{database}_app', '{database}_sealer', '{database}_retention', '{database}_analyst'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
        IF NOT pg_has_role(current_user, role_name, 'MEMBER') OR current_setting('server_version_num')::int >= 160000 THEN
            EXECUTE format('GRANT %I TO %I', role_name, current_user);
        END IF;
    END LOOP;
END $$;

-- domains -----------------------------------------------------------------------------------------------------------

CREATE DOMAIN certificate_type AS text CHECK (VALUE IN ('CEA', 'EUA'));
CREATE DOMAIN asset AS text CHECK (VALUE IN ('CEA', 'EUA', 'EUR'));
CREATE DOMAIN ticket_id AS text CHECK (VALUE ~ '^TKT-[0-9]{4}-[0-9]{6,18}$');
CREATE DOMAIN price_eur AS numeric CHECK (VALUE > 0 AND VALUE <= 1000000 AND scale(VALUE) <= 2);
CREATE DOMAIN quantity AS numeric CHECK (VALUE >= 0 AND VALUE <= 1000000000 AND scale(VALUE) = 0);
CREATE DOMAIN amount AS numeric CHECK (VALUE >= -1e15 AND VALUE <= 1e15 AND scale(VALUE) <= 2);

-- tickets -----------------------------------------------------------------------------------------------------------

CREATE TABLE ticket_leases (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    year integer NOT NULL CHECK (year BETWEEN 2000 AND 9999),
    lo bigint NOT NULL CHECK (lo >= 1),
    hi bigint NOT NULL,
    is_shared boolean NOT NULL,
    leased_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    UNIQUE (year, lo),
    CHECK (hi >= lo)
);
CREATE INDEX ticket_leases_open ON ticket_leases (year, id) WHERE closed_at IS NULL;

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    role text NOT NULL CHECK (role IN ('ADMIN', 'ANALYST', 'TRADER', 'MARKET_MAKER')),
    password_hash text,
    is_active boolean NOT NULL DEFAULT true,
    kyc_status text NOT NULL DEFAULT 'NONE' CHECK (kyc_status IN ('NONE', 'PENDING', 'APPROVED', 'REJECTED')),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    can_sign_in boolean NOT NULL GENERATED ALWAYS AS (role <> 'MARKET_MAKER') STORED,
    CONSTRAINT users_maker_has_no_password CHECK ((role = 'MARKET_MAKER') = (password_hash IS NULL)),
    UNIQUE (id, can_sign_in)
);
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE user_sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    can_sign_in boolean NOT NULL DEFAULT true CHECK (can_sign_in),
    token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    ip_address text CHECK (length(ip_address) <= 64),
    user_agent text CHECK (length(user_agent) <= 512),
    CONSTRAINT user_sessions_makers_never_sign_in FOREIGN KEY (user_id, can_sign_in) REFERENCES users (id, can_sign_in)
);
CREATE INDEX user_sessions_user ON user_sessions (user_id, created_at DESC);

CREATE TABLE market_maker_clients (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL UNIQUE REFERENCES users (id),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    description text CHECK (length(description) <= 2000),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by uuid REFERENCES users (id)
);
CREATE UNIQUE INDEX market_maker_clients_name ON market_maker_clients (lower(name));

CREATE FUNCTION refuse_password_login_of_maker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT role FROM users WHERE id = NEW.user_id) <> 'MARKET_MAKER' THEN
        RAISE EXCEPTION 'user % of a market maker must have role MARKET_MAKER', NEW.user_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER market_maker_clients_role BEFORE INSERT OR UPDATE OF user_id ON market_maker_clients
    FOR EACH ROW EXECUTE FUNCTION refuse_password_login_of_maker();

-- array_to_string is only STABLE because of types whose output depends on settings; for text it never changes.
CREATE FUNCTION ticket_words(ticket_id text, summary text, error_code text, error_message text, tags text[])
RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_tsvector('simple'::regconfig, concat_ws(' ', ticket_id, summary, error_code, error_message, array_to_string(tags, ' ')))
$$;

CREATE TABLE ticket_logs (
    year integer NOT NULL,
    number bigint NOT NULL CHECK (number >= 1),
    ticket_id ticket_id NOT NULL,
    "timestamp" timestamptz NOT NULL,
    action_type text NOT NULL CHECK (action_type ~ '^[A-Z_]{3,40}$'),
    status text NOT NULL CHECK (status IN ('SUCCESS', 'FAILED')),
    summary text NOT NULL CHECK (length(summary) <= 500),
    error_code text,
    error_message text,
    user_id uuid REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED,
    market_maker_id uuid REFERENCES market_maker_clients (id) DEFERRABLE INITIALLY DEFERRED,
    entity_type text CHECK (entity_type IN ('USER', 'SESSION', 'MARKET_MAKER', 'ORDER', 'TRADE', 'ASSET_TRANSACTION',
                                            'DEPOSIT', 'KYC_DOCUMENT', 'CERTIFICATE', 'SETTINGS')),
    entity_id text CHECK (length(entity_id) <= 64),
    ip_address text,
    user_agent text,
    session_id uuid REFERENCES user_sessions (id) DEFERRABLE INITIALLY DEFERRED,
    duration_ms numeric CHECK (duration_ms >= 0 AND duration_ms < 1e9 AND scale(duration_ms) <= 3),
    related_ticket_ids text[] NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}',
    attempt_id uuid UNIQUE,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    search tsvector GENERATED ALWAYS AS (ticket_words(ticket_id, summary, error_code, error_message, tags)) STORED,
    PRIMARY KEY (year, number),
    UNIQUE (ticket_id, status),
    CHECK (ticket_id = 'TKT-' || year || '-' || CASE WHEN number < 1000000 THEN lpad(number::text, 6, '0') ELSE number::text END),
    CHECK (year = extract(year FROM "timestamp" AT TIME ZONE 'UTC')),
    CHECK ((status = 'FAILED') = (error_code IS NOT NULL))
);
CREATE INDEX ticket_logs_horizon ON ticket_logs (txid, year, number);
CREATE INDEX ticket_logs_timestamp ON ticket_logs ("timestamp", year, number);
CREATE INDEX ticket_logs_action ON ticket_logs (action_type, year, number);
CREATE INDEX ticket_logs_failed ON ticket_logs (year, number) WHERE status = 'FAILED';
CREATE INDEX ticket_logs_user ON ticket_logs (user_id, year, number) WHERE user_id IS NOT NULL;
CREATE INDEX ticket_logs_maker ON ticket_logs (market_maker_id, year, number) WHERE market_maker_id IS NOT NULL;
CREATE INDEX ticket_logs_entity ON ticket_logs (entity_id, year, number) WHERE entity_id IS NOT NULL;
CREATE INDEX ticket_logs_error ON ticket_logs (error_code, year, number) WHERE error_code IS NOT NULL;
CREATE INDEX ticket_logs_session ON ticket_logs (session_id, year, number) WHERE session_id IS NOT NULL;
CREATE INDEX ticket_logs_ip ON ticket_logs (ip_address, year, number) WHERE ip_address IS NOT NULL;
CREATE INDEX ticket_logs_related ON ticket_logs USING gin (related_ticket_ids) WITH (fastupdate = on);
CREATE INDEX ticket_logs_tags ON ticket_logs USING gin (tags) WITH (fastupdate = on);
CREATE INDEX ticket_logs_search ON ticket_logs USING gin (search) WITH (fastupdate = on);

CREATE TABLE ticket_payloads (
    year integer NOT NULL,
    number bigint NOT NULL,
    salt bytea NOT NULL CHECK (length(salt) = 32),
    request_payload jsonb,
    response_data jsonb,
    before_state jsonb,
    after_state jsonb,
    PRIMARY KEY (year, number),
    FOREIGN KEY (year, number) REFERENCES ticket_logs (year, number) DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE ticket_voids (
    year integer NOT NULL,
    lo bigint NOT NULL,
    hi bigint NOT NULL,
    lease_id bigint NOT NULL REFERENCES ticket_leases (id),
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (year, lo),
    CHECK (hi >= lo)
);

-- market ------------------------------------------------------------------------------------------------------------

CREATE TABLE certificates (
    certificate_type certificate_type PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    description text CHECK (length(description) <= 2000),
    tick_size price_eur NOT NULL DEFAULT 0.01,
    lot_size quantity NOT NULL DEFAULT 1 CHECK (lot_size >= 1),
    reference_price price_eur,
    is_halted boolean NOT NULL DEFAULT false
);

-- The rows of `books`, locked in order, are the market lock.
CREATE TABLE books (
    certificate_type certificate_type PRIMARY KEY REFERENCES certificates (certificate_type),
    sequence bigint NOT NULL DEFAULT 0 CHECK (sequence >= 0),
    priority bigint NOT NULL DEFAULT 0 CHECK (priority >= 0),
    last_price price_eur
);

CREATE TABLE orders (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    market_maker_id uuid REFERENCES market_maker_clients (id),
    certificate_type certificate_type NOT NULL REFERENCES books (certificate_type),
    side text NOT NULL CHECK (side IN ('BUY', 'SELL')),
    order_type text NOT NULL CHECK (order_type IN ('LIMIT', 'MARKET')),
    time_in_force text NOT NULL CHECK (time_in_force IN ('GTC', 'IOC', 'FOK')),
    price price_eur,
    quantity quantity NOT NULL CHECK (quantity > 0),
    priority bigint NOT NULL,
    created_at timestamptz NOT NULL,
    ticket_id ticket_id NOT NULL,
    ticket_status text NOT NULL DEFAULT 'SUCCESS' CHECK (ticket_status = 'SUCCESS'),
    filled_quantity quantity NOT NULL DEFAULT 0,
    filled_notional amount NOT NULL DEFAULT 0,
    status text NOT NULL CHECK (status IN ('OPEN', 'PARTIALLY_FILLED', 'FILLED', 'CANCELLED')),
    cancel_reason text,
    updated_at timestamptz NOT NULL,
    UNIQUE (certificate_type, priority),
    FOREIGN KEY (ticket_id, ticket_status) REFERENCES ticket_logs (ticket_id, status) DEFERRABLE INITIALLY DEFERRED,
    CHECK ((order_type = 'LIMIT') = (price IS NOT NULL)),
    CHECK (market_maker_id IS NULL OR side = 'SELL'),
    CHECK (filled_quantity <= quantity),
    CHECK ((status = 'OPEN') <= (filled_quantity = 0)),
    CHECK ((status = 'PARTIALLY_FILLED') <= (filled_quantity > 0 AND filled_quantity < quantity)),
    CHECK ((status = 'FILLED') = (filled_quantity = quantity)),
    CHECK ((status = 'CANCELLED') = (cancel_reason IS NOT NULL))
);
CREATE INDEX orders_open ON orders (certificate_type, side, price, priority) WHERE status IN ('OPEN', 'PARTIALLY_FILLED');
CREATE INDEX orders_holder_open ON orders (user_id) WHERE status IN ('OPEN', 'PARTIALLY_FILLED');
CREATE INDEX orders_user ON orders (user_id, created_at DESC, id);
CREATE INDEX orders_maker ON orders (market_maker_id, created_at DESC, id) WHERE market_maker_id IS NOT NULL;
CREATE INDEX orders_created ON orders (created_at DESC, id);
CREATE INDEX orders_ticket ON orders (ticket_id);

CREATE TABLE cash_market_trades (
    id uuid PRIMARY KEY,
    certificate_type certificate_type NOT NULL REFERENCES books (certificate_type),
    sequence bigint NOT NULL,
    price price_eur NOT NULL,
    quantity quantity NOT NULL CHECK (quantity > 0),
    buy_order_id uuid NOT NULL REFERENCES orders (id),
    sell_order_id uuid NOT NULL REFERENCES orders (id),
    buyer_id uuid NOT NULL REFERENCES users (id),
    seller_id uuid NOT NULL REFERENCES users (id),
    market_maker_id uuid REFERENCES market_maker_clients (id),
    taker_side text NOT NULL CHECK (taker_side IN ('BUY', 'SELL')),
    position integer NOT NULL CHECK (position >= 0),
    executed_at timestamptz NOT NULL,
    ticket_id ticket_id NOT NULL,
    ticket_status text NOT NULL DEFAULT 'SUCCESS' CHECK (ticket_status = 'SUCCESS'),
    UNIQUE (certificate_type, sequence, position),
    FOREIGN KEY (ticket_id, ticket_status) REFERENCES ticket_logs (ticket_id, status) DEFERRABLE INITIALLY DEFERRED,
    CHECK (buyer_id <> seller_id)
);
CREATE INDEX cash_market_trades_executed ON cash_market_trades (executed_at DESC, id);
CREATE INDEX cash_market_trades_buy_order ON cash_market_trades (buy_order_id);
CREATE INDEX cash_market_trades_sell_order ON cash_market_trades (sell_order_id);
CREATE INDEX cash_market_trades_buyer ON cash_market_trades (buyer_id, executed_at DESC, id);
CREATE INDEX cash_market_trades_seller ON cash_market_trades (seller_id, executed_at DESC, id);
CREATE INDEX cash_market_trades_maker ON cash_market_trades (market_maker_id, executed_at DESC, id) WHERE market_maker_id IS NOT NULL;
CREATE INDEX cash_market_trades_ticket ON cash_market_trades (ticket_id);

CREATE TABLE trade_settlements (
    trade_id uuid PRIMARY KEY REFERENCES cash_market_trades (id),
    registry_reference text NOT NULL CHECK (length(registry_reference) BETWEEN 1 AND 140),
    settled_at timestamptz NOT NULL,
    settled_by uuid NOT NULL REFERENCES users (id),
    ticket_id ticket_id NOT NULL,
    ticket_status text NOT NULL DEFAULT 'SUCCESS' CHECK (ticket_status = 'SUCCESS'),
    FOREIGN KEY (ticket_id, ticket_status) REFERENCES ticket_logs (ticket_id, status) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX trade_settlements_ticket ON trade_settlements (ticket_id);

-- quantity: what was ordered or cancelled; rested: what came to lie in the book; fills: the trades of this sequence.
CREATE TABLE book_events (
    certificate_type certificate_type NOT NULL REFERENCES books (certificate_type),
    sequence bigint NOT NULL CHECK (sequence >= 1),
    kind text NOT NULL CHECK (kind IN ('PLACED', 'CANCELLED')),
    order_id uuid NOT NULL REFERENCES orders (id),
    price price_eur,
    quantity quantity NOT NULL CHECK (quantity > 0),
    rested quantity NOT NULL,
    priority bigint NOT NULL,
    level_changes jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    ticket_id ticket_id NOT NULL,
    ticket_status text NOT NULL DEFAULT 'SUCCESS' CHECK (ticket_status = 'SUCCESS'),
    PRIMARY KEY (certificate_type, sequence),
    FOREIGN KEY (ticket_id, ticket_status) REFERENCES ticket_logs (ticket_id, status) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX book_events_order ON book_events (order_id);
CREATE INDEX book_events_ticket ON book_events (ticket_id);

-- ledger ------------------------------------------------------------------------------------------------------------

CREATE TABLE balances (
    holder_id uuid NOT NULL REFERENCES users (id),
    asset asset NOT NULL,
    market_maker_id uuid REFERENCES market_maker_clients (id),
    available amount NOT NULL CHECK (available >= 0),
    locked amount NOT NULL CHECK (locked >= 0),
    seq bigint NOT NULL CHECK (seq >= 0),
    PRIMARY KEY (holder_id, asset),
    CHECK (asset = 'EUR' OR (scale(available) = 0 AND scale(locked) = 0))
);

CREATE TABLE asset_transactions (
    id uuid PRIMARY KEY,
    holder_id uuid NOT NULL REFERENCES users (id),
    market_maker_id uuid REFERENCES market_maker_clients (id),
    asset asset NOT NULL,
    transaction_type text NOT NULL CHECK (transaction_type IN ('DEPOSIT', 'WITHDRAWAL', 'TRADE_DEBIT', 'TRADE_CREDIT')),
    reason text NOT NULL CHECK (reason IN ('DEPOSIT', 'WITHDRAWAL', 'LOCK', 'RELEASE', 'SETTLE_OUT', 'SETTLE_IN')),
    amount amount NOT NULL CHECK (amount <> 0),
    available_delta amount NOT NULL,
    locked_delta amount NOT NULL,
    balance_after amount NOT NULL CHECK (balance_after >= 0),
    locked_after amount NOT NULL CHECK (locked_after >= 0),
    seq bigint NOT NULL CHECK (seq >= 1),
    notes text CHECK (length(notes) <= 2000),
    order_id uuid REFERENCES orders (id),
    trade_id uuid REFERENCES cash_market_trades (id),
    created_by uuid REFERENCES users (id),
    created_at timestamptz NOT NULL,
    ticket_id ticket_id NOT NULL,
    ticket_status text NOT NULL DEFAULT 'SUCCESS' CHECK (ticket_status = 'SUCCESS'),
    UNIQUE (holder_id, asset, seq),
    FOREIGN KEY (ticket_id, ticket_status) REFERENCES ticket_logs (ticket_id, status) DEFERRABLE INITIALLY DEFERRED,
    CHECK (asset = 'EUR' OR (scale(amount) = 0 AND scale(available_delta) = 0 AND scale(locked_delta) = 0)),
    CONSTRAINT asset_transactions_law CHECK (
        CASE reason
            WHEN 'DEPOSIT' THEN transaction_type = 'DEPOSIT' AND available_delta = amount AND locked_delta = 0 AND amount > 0
            WHEN 'WITHDRAWAL' THEN transaction_type = 'WITHDRAWAL' AND available_delta = amount AND locked_delta = 0 AND amount < 0
            WHEN 'LOCK' THEN transaction_type = 'TRADE_DEBIT' AND available_delta = amount AND locked_delta = -amount AND amount < 0
            WHEN 'RELEASE' THEN transaction_type = 'TRADE_CREDIT' AND available_delta = amount AND locked_delta = -amount AND amount > 0
            WHEN 'SETTLE_OUT' THEN transaction_type = 'TRADE_CREDIT' AND available_delta = 0 AND locked_delta = -amount AND amount > 0
            WHEN 'SETTLE_IN' THEN transaction_type = 'TRADE_CREDIT' AND available_delta = amount AND locked_delta = 0 AND amount > 0
        END)
);
CREATE INDEX asset_transactions_ticket ON asset_transactions (ticket_id);
CREATE INDEX asset_transactions_maker ON asset_transactions (market_maker_id, created_at DESC, id) WHERE market_maker_id IS NOT NULL;
CREATE INDEX asset_transactions_holder ON asset_transactions (holder_id, created_at DESC, id);
CREATE INDEX asset_transactions_order ON asset_transactions (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX asset_transactions_trade ON asset_transactions (trade_id) WHERE trade_id IS NOT NULL;

CREATE TABLE deposits (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    amount amount NOT NULL CHECK (amount > 0),
    reference text NOT NULL CHECK (length(reference) BETWEEN 1 AND 140),
    status text NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'APPROVED', 'REJECTED')),
    reason text CHECK (length(reason) <= 2000),
    created_at timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by uuid REFERENCES users (id),
    ticket_id ticket_id NOT NULL,
    ticket_status text NOT NULL DEFAULT 'SUCCESS' CHECK (ticket_status = 'SUCCESS'),
    FOREIGN KEY (ticket_id, ticket_status) REFERENCES ticket_logs (ticket_id, status) DEFERRABLE INITIALLY DEFERRED,
    CHECK ((status = 'PENDING') = (decided_at IS NULL))
);
CREATE INDEX deposits_user ON deposits (user_id, created_at DESC, id);
CREATE INDEX deposits_pending ON deposits (created_at DESC, id) WHERE status = 'PENDING';

CREATE TABLE idempotency (
    actor_id uuid NOT NULL REFERENCES users (id),
    field text NOT NULL CHECK (length(field) BETWEEN 1 AND 64),
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 64),
    input_hash bytea NOT NULL CHECK (length(input_hash) = 32),
    ticket_id ticket_id NOT NULL,
    status text NOT NULL CHECK (status IN ('SUCCESS', 'FAILED')),
    outcome jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (actor_id, field, key),
    FOREIGN KEY (ticket_id, status) REFERENCES ticket_logs (ticket_id, status) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX idempotency_created ON idempotency (created_at);

-- append-only -------------------------------------------------------------------------------------------------------

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'ticket_payloads' AND TG_OP = 'DELETE' AND pg_has_role(current_user, '{database}_retention', 'USAGE')
       AND NOT pg_has_role(current_user, '{database}_app', 'USAGE') THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

DO $$
DECLARE table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['ticket_logs', 'ticket_payloads', 'ticket_voids', 'cash_market_trades',
                                      'trade_settlements', 'book_events', 'asset_transactions'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', table_name);
        EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', table_name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', table_name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only_truncate', table_name);
    END LOOP;
END $$;

-- rights: nobody owns anything but the migrating login; each verb is granted by name -----------------------------------

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO "{database}_app", "{database}_sealer", "{database}_retention", "{database}_analyst";
GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{database}_app";

GRANT INSERT ON users, user_sessions, market_maker_clients, orders, cash_market_trades, trade_settlements, book_events,
    balances, asset_transactions, deposits, idempotency, ticket_payloads TO "{database}_app";
-- Column by column where a default must not be overridden: txid proves "same transaction", leases date themselves.
GRANT INSERT (year, number, ticket_id, "timestamp", action_type, status, summary, error_code, error_message, user_id,
    market_maker_id, entity_type, entity_id, ip_address, user_agent, session_id, duration_ms, related_ticket_ids, tags,
    attempt_id, digest) ON ticket_logs TO "{database}_app";
GRANT INSERT (year, lo, hi, is_shared), UPDATE (closed_at) ON ticket_leases TO "{database}_app";
GRANT INSERT (year, lo, hi, lease_id, reason) ON ticket_voids TO "{database}_app";

GRANT UPDATE (email, name, role, password_hash, is_active, kyc_status, updated_at) ON users TO "{database}_app";
GRANT UPDATE (last_seen_at, revoked_at) ON user_sessions TO "{database}_app";
GRANT UPDATE (name, description, is_active, updated_at) ON market_maker_clients TO "{database}_app";
GRANT UPDATE (name, description, tick_size, lot_size, reference_price, is_halted) ON certificates TO "{database}_app";
GRANT UPDATE (sequence, priority, last_price) ON books TO "{database}_app";
GRANT UPDATE (filled_quantity, filled_notional, status, cancel_reason, updated_at) ON orders TO "{database}_app";
GRANT UPDATE (available, locked, seq) ON balances TO "{database}_app";
GRANT UPDATE (status, reason, decided_at, decided_by) ON deposits TO "{database}_app";
GRANT DELETE ON idempotency TO "{database}_app";

GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{database}_sealer";
GRANT SELECT ON ticket_logs, ticket_payloads TO "{database}_retention";
GRANT DELETE ON ticket_payloads TO "{database}_retention";
GRANT SELECT ON certificates, books, orders, cash_market_trades, trade_settlements, book_events, balances, asset_transactions,
    market_maker_clients, ticket_logs, deposits TO "{database}_analyst";
GRANT SELECT (id, name, role, is_active, kyc_status, created_at) ON users TO "{database}_analyst";

-- the two certificates of this market ----------------------------------------------------------------------------------

INSERT INTO certificates (certificate_type, name, description) VALUES
    ('CEA', 'China Emission Allowance', 'One tonne of CO₂ in the national carbon market of China.'),
    ('EUA', 'EU Allowance', 'One tonne of CO₂ in the EU Emissions Trading System.');
INSERT INTO books (certificate_type) VALUES ('CEA'), ('EUA');
