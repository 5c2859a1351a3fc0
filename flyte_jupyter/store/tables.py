"""The tables. Times and durations are whole microseconds; bodies are serialised messages; paths are JSON lists."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

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


def _maybe_blob(name: str) -> Column[bytes]:
    return Column(name, LargeBinary)


def _row_id(name: str = "id") -> Column[int]:
    # SQLite numbers rows by itself only when the column's type is INTEGER to the letter.
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


ledger = Table("ledger", metadata, _row_id(), _number("commits"))
"""One row: how many transactions this file has seen."""

lease = Table("lease", metadata, _row_id(), _text("holder"), _number("epoch"), _number("expires"))
"""One row: who may write runs. `expires` is 0 when it was given back."""

closures = Table("closures", metadata, _text("digest", primary_key=True), _blob("body"))
"""Compiled closures: those that executions began with, and those that dynamic tasks made."""

literals = Table(
    "literals",
    metadata,
    _text("uri", primary_key=True),
    _blob("body"),
    sqlite_with_rowid=False,
)
"""Inputs and outputs of nodes that are small, and came or went in messages: there is no file of them."""

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
    _maybe_number("parent_id"),
    _text("parent_path"),
    _maybe_number("parent_attempt"),
    _maybe_number("recovers_id"),
    UniqueConstraint("project", "domain", "name"),
    Index(None, "final"),
    Index(None, "parent_id"),
    sqlite_autoincrement=True,
)
"""`parent_id` is the run that started this one, by its attempt `parent_attempt` at `parent_path`.

`recovers_id` is the run whose successes it takes over.
"""

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
"""What each commit of a run was told, and when it was judged. Never read by the engine: it is for people who ask why.

`observation` is a JSON list of all that was told at one moment. In rows of earlier versions of the program it is one record.
"""

outbox = Table(
    "outbox",
    metadata,
    _number("run_id", primary_key=True),
    _number("id", primary_key=True),
    _blob("action"),
    sqlite_with_rowid=False,
)
"""What each run owes. `id` grows with the run's version, and so is never given twice."""

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

tags = Table(
    "tags",
    metadata,
    _text("tag", primary_key=True),
    _text("value", primary_key=True),
    _number("run_id", primary_key=True),
    sqlite_with_rowid=False,
)
"""What executions were launched with to be found by: labels with their values, tags without."""

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
    _text("path"),
    _text("expansion"),
    UniqueConstraint("run_id", "node"),
    Index(None, "run_id", "parent", "id"),
    sqlite_autoincrement=True,
)
"""`path` is where the machine knows the node; `expansion` the digest of the closure that a dynamic task made, or empty."""

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
    _text("phases"),
    UniqueConstraint("run_id", "node", "attempt"),
    sqlite_autoincrement=True,
)
"""`phases` counts the rows in `external_resources` that are the last of their index, by phase: ``{"<phase>": <count>}``, or empty."""

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
"""What a task execution started elsewhere (the items of an array node): a row for each index and try."""

signals = Table(
    "signals",
    metadata,
    _row_id(),
    _number("run_id"),
    _text("signal"),
    _text("node"),
    _blob("type"),
    _maybe_blob("value"),
    UniqueConstraint("run_id", "signal"),
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
"""`body` is the message apart from what was compiled, which may be large: lists never read it."""

names = Table(
    "names",
    metadata,
    _text("kind", primary_key=True),
    _text("project", primary_key=True),
    _text("domain", primary_key=True),
    _text("name", primary_key=True),
    _number("state"),
    _text("description"),
    sqlite_with_rowid=False,
)
"""What was said about a name of `entities`, whatever its versions: most names have no row."""

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
    _text("digest"),
    _number("size"),
    Index(None, "source"),
)
"""`digest` and `size` (bytes) are of the outputs, where they are known."""

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
"""Who computes the outputs of a key just now."""

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
"""Which node took its outputs from which earlier task execution (``project/domain/execution/node/attempt``), and why."""

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
