"""The first schema, as it was: never edited, a later one is a revision of its own."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
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

revision = "0001"
down_revision = None

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


def _maybe_number(name: str) -> Column[int]:
    return Column(name, BigInteger)


def _blob(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


def _row_id(name: str = "id") -> Column[int]:
    # SQLite numbers rows by itself only when the column's type is INTEGER to the letter.
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


ledger = Table("ledger", metadata, _row_id(), _number("commits"))

lease = Table("lease", metadata, _row_id(), _text("holder"), _number("epoch"), _number("expires"))

closures = Table("closures", metadata, _text("digest", primary_key=True), _blob("body"))

runs = Table(
    "runs",
    metadata,
    _row_id(),
    _text("project"),
    _text("domain"),
    _text("name"),
    _number("version"),
    Column("final", Boolean, nullable=False),
    _text("closure_digest"),
    _blob("summary"),
    _text("inputs"),
    _text("env"),
    UniqueConstraint("project", "domain", "name"),
    Index(None, "final"),
    sqlite_autoincrement=True,
)

nodes = Table(
    "nodes",
    metadata,
    _number("run_id", primary_key=True),
    _text("path", primary_key=True),
    _blob("state"),
    sqlite_with_rowid=False,
)

log = Table(
    "log",
    metadata,
    _number("run_id", primary_key=True),
    _number("version", primary_key=True),
    _number("position", primary_key=True),
    _number("at"),
    _blob("observation"),
    sqlite_with_rowid=False,
)

outbox = Table(
    "outbox",
    metadata,
    _row_id(),
    _number("run_id"),
    _blob("action"),
    Index(None, "run_id"),
    sqlite_autoincrement=True,
)

inbox = Table(
    "inbox",
    metadata,
    _row_id(),
    _number("run_id"),
    _blob("observation"),
    Index(None, "run_id"),
    sqlite_autoincrement=True,
)

executions = Table(
    "executions",
    metadata,
    _number("run_id", primary_key=True),
    _text("project"),
    _text("domain"),
    _text("name"),
    _number("phase"),
    _number("state"),
    _number("mode"),
    _text("principal"),
    _text("launch_plan"),
    _text("launch_plan_version"),
    _text("workflow"),
    _text("workflow_version"),
    _text("error_code"),
    _number("created_at"),
    _number("updated_at"),
    _maybe_number("started_at"),
    _maybe_number("duration"),
    _blob("body"),
    Index(None, "project", "domain", "state", "run_id"),
    Index(None, "project", "domain", "phase", "run_id"),
)

node_executions = Table(
    "node_executions",
    metadata,
    _row_id(),
    _number("run_id"),
    _text("node"),
    _text("parent"),
    _text("spec_node"),
    _number("phase"),
    _text("error_code"),
    _number("created_at"),
    _number("updated_at"),
    _maybe_number("started_at"),
    _maybe_number("duration"),
    _blob("body"),
    UniqueConstraint("run_id", "node"),
    sqlite_autoincrement=True,
)

task_executions = Table(
    "task_executions",
    metadata,
    _row_id(),
    _number("run_id"),
    _text("node"),
    _number("attempt"),
    _text("task"),
    _text("task_version"),
    _number("phase"),
    _text("error_code"),
    _number("created_at"),
    _number("updated_at"),
    _maybe_number("started_at"),
    _maybe_number("duration"),
    _blob("body"),
    UniqueConstraint("run_id", "node", "attempt"),
    sqlite_autoincrement=True,
)

entities = Table(
    "entities",
    metadata,
    _row_id(),
    _text("kind"),
    _text("project"),
    _text("domain"),
    _text("name"),
    _text("version"),
    _text("digest"),
    _number("state"),
    _text("workflow"),
    _number("created_at"),
    _number("updated_at"),
    _blob("body"),
    Column("compiled", LargeBinary),
    UniqueConstraint("kind", "project", "domain", "name", "version"),
    sqlite_autoincrement=True,
)

projects = Table(
    "projects",
    metadata,
    _row_id(),
    _text("project"),
    _text("name"),
    _text("description"),
    _number("state"),
    _text("labels"),
    UniqueConstraint("project"),
    sqlite_autoincrement=True,
)

artifacts = Table(
    "artifacts",
    metadata,
    _text("project", primary_key=True),
    _text("domain", primary_key=True),
    _text("task", primary_key=True),
    _text("version", primary_key=True),
    _text("interface", primary_key=True),
    _text("inputs", primary_key=True),
    _text("outputs"),
    _text("source"),
    _number("created_at"),
    Index(None, "source"),
)

feed = Table(
    "feed",
    metadata,
    _row_id("seq"),
    _text("kind"),
    _text("project"),
    _text("domain"),
    _text("execution"),
    _text("node"),
    _number("attempt"),
    sqlite_autoincrement=True,
)


def upgrade() -> None:
    """As every revision has it."""
    # A new database is made without Alembic, which takes longer to import than that takes.
    from alembic import op

    make(op.get_bind())


def make(bind: Connection) -> None:
    """Make every table, and the rows that are always there."""
    metadata.create_all(bind)
    bind.execute(ledger.insert(), {"id": 1, "commits": 0})
    bind.execute(lease.insert(), {"id": 1, "holder": "", "epoch": 0, "expires": 0})
    first = {"project": "flytesnacks", "name": "flytesnacks", "description": "", "labels": "{}"}
    bind.execute(projects.insert(), {**first, "state": 0})
