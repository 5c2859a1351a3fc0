"""What is said about names: archived or not, and a description. Never edited, as every revision."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text

revision = "0004"
down_revision = "0003"

metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s"})

names = Table(
    "names",
    metadata,
    Column("kind", Text, nullable=False, primary_key=True),
    Column("project", Text, nullable=False, primary_key=True),
    Column("domain", Text, nullable=False, primary_key=True),
    Column("name", Text, nullable=False, primary_key=True),
    Column("state", BigInteger, nullable=False),
    Column("description", Text, nullable=False),
    sqlite_with_rowid=False,
)


def upgrade() -> None:
    """As every revision has it."""
    from alembic import op

    make(op.get_bind())


def make(bind: Connection) -> None:
    """Add the table; every row stays."""
    metadata.create_all(bind, checkfirst=False)
