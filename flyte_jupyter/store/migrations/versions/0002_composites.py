"""What composite nodes, child executions, signals, reservations and lineage need. Never edited, as every revision."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

revision = "0002"
down_revision = "0001"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, *, primary_key: bool = False) -> Column[str]:
    return Column(name, Text, nullable=False, primary_key=primary_key)


def _number(name: str, *, primary_key: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=False, primary_key=primary_key)


def _blob(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


def _row_id() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


outbox = Table(
    "outbox",
    metadata,
    _number("run_id", primary_key=True),
    _number("id", primary_key=True),
    _blob("action"),
    sqlite_with_rowid=False,
)

external_resources = Table(
    "external_resources",
    metadata,
    _number("run_id", primary_key=True),
    _text("node", primary_key=True),
    _number("attempt", primary_key=True),
    _number("position", primary_key=True),
    _number("retry", primary_key=True),
    _number("phase"),
    _blob("body"),
    sqlite_with_rowid=False,
)

signals = Table(
    "signals",
    metadata,
    _row_id(),
    _number("run_id"),
    _text("signal"),
    _text("node"),
    _blob("type"),
    Column("value", LargeBinary),
    UniqueConstraint("run_id", "signal"),
    sqlite_autoincrement=True,
)

reservations = Table(
    "reservations",
    metadata,
    _text("project", primary_key=True),
    _text("domain", primary_key=True),
    _text("task", primary_key=True),
    _text("version", primary_key=True),
    _text("interface", primary_key=True),
    _text("inputs", primary_key=True),
    _text("owner"),
    _number("expires"),
)

uses = Table(
    "uses",
    metadata,
    _number("run_id", primary_key=True),
    _text("node", primary_key=True),
    _text("source"),
    _text("how"),
    Index(None, "source"),
    sqlite_with_rowid=False,
)

_ADDED = (
    ("runs", "parent_id BIGINT"),
    ("runs", "parent_path TEXT NOT NULL DEFAULT ''"),
    ("runs", "parent_attempt BIGINT"),
    ("runs", "recovers_id BIGINT"),
    ("node_executions", "path TEXT NOT NULL DEFAULT ''"),
    ("node_executions", "expansion TEXT NOT NULL DEFAULT ''"),
    ("task_executions", "phases TEXT NOT NULL DEFAULT ''"),
    ("artifacts", "digest TEXT NOT NULL DEFAULT ''"),
    ("artifacts", "size BIGINT NOT NULL DEFAULT 0"),
)
_INDEXES = (
    "CREATE INDEX ix_runs_parent_id ON runs (parent_id)",
    "CREATE INDEX ix_node_executions_run_id_parent_id ON node_executions (run_id, parent, id)",
)


def upgrade() -> None:
    """As every revision has it."""
    from alembic import op

    make(op.get_bind())


def make(bind: Connection) -> None:
    """Change the first schema into this one; every row stays."""
    for table, column in _ADDED:
        bind.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column}")
    # Until now every node stood in the outermost graph, where a node's id is its path.
    bind.exec_driver_sql("UPDATE node_executions SET path = json_array(node)")
    for index in _INDEXES:
        bind.exec_driver_sql(index)
    bind.exec_driver_sql("ALTER TABLE outbox RENAME TO outbox_before")
    metadata.create_all(bind, checkfirst=False)
    # Numbered anew by run: from here on a number is made of the run's version, and these stay below all of those.
    bind.exec_driver_sql(
        "INSERT INTO outbox SELECT run_id, row_number() OVER (PARTITION BY run_id ORDER BY id), action"
        " FROM outbox_before"
    )
    bind.exec_driver_sql("DROP TABLE outbox_before")
