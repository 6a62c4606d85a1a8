"""KYC documents, and why a KYC was rejected.

Revision ID: 0005
Create Date: 2026-11-23
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The content proves itself: its hash is checked by the database and covered by the ticket's digest. Documents are
# compressed already, so the row is stored as it is.
DOCUMENTS = """
CREATE TABLE kyc_documents (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    kind text NOT NULL CHECK (kind ~ '^[A-Z_]{2,40}$'),
    file_name text NOT NULL CHECK (length(file_name) BETWEEN 1 AND 128),
    content_type text NOT NULL CHECK (content_type IN ('application/pdf', 'image/png', 'image/jpeg')),
    size_bytes integer NOT NULL CHECK (size_bytes BETWEEN 1 AND 5242880),
    sha256 text NOT NULL,
    uploaded_at timestamptz NOT NULL,
    ticket_id ticket_id NOT NULL,
    content bytea NOT NULL,
    ticket_status text NOT NULL DEFAULT 'SUCCESS' CHECK (ticket_status = 'SUCCESS'),
    FOREIGN KEY (ticket_id, ticket_status) REFERENCES ticket_logs (ticket_id, status) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT kyc_documents_size CHECK (length(content) = size_bytes),
    CONSTRAINT kyc_documents_sha256 CHECK (sha256 = encode(sha256(content), 'hex'))
)"""
APPEND_ONLY = (
    "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON kyc_documents FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON kyc_documents"
    " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    "ALTER TABLE kyc_documents ENABLE ALWAYS TRIGGER append_only",
    "ALTER TABLE kyc_documents ENABLE ALWAYS TRIGGER append_only_truncate",
)


def upgrade() -> None:
    """Create the table of documents, insert-only, and a column for the reason of a rejection."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(DOCUMENTS)
    op.execute("ALTER TABLE kyc_documents ALTER COLUMN content SET STORAGE EXTERNAL")
    op.execute("CREATE INDEX kyc_documents_user ON kyc_documents (user_id, uploaded_at DESC, id)")
    op.execute("CREATE INDEX kyc_documents_ticket ON kyc_documents (ticket_id)")
    for statement in APPEND_ONLY:
        op.execute(statement)
    op.execute("ALTER TABLE users ADD COLUMN kyc_reason text CHECK (length(kyc_reason) BETWEEN 1 AND 2000)")
    database = op.get_bind().exec_driver_sql("SELECT current_database()").scalar_one()
    op.execute(f'GRANT SELECT, INSERT ON kyc_documents TO "{database}_app"')
    op.execute(f'GRANT SELECT ON kyc_documents TO "{database}_sealer"')
    op.execute(f'GRANT UPDATE (kyc_reason) ON users TO "{database}_app"')
