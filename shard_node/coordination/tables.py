"""The tables of one schema in PostgreSQL: made by who writes first, brought from release to release, never another's.

A schema says in its table `store` which version it is of. Each step brings it from one version to the next, and a new
schema goes through all of them; a newer release's is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shard_node.coordination.interface import CoordinationDown
from shard_node.coordination.lane import commit

if TYPE_CHECKING:
    from shard_node.coordination.lane import Db

__all__ = ["Tables"]


@dataclass(frozen=True, slots=True)
class Tables:
    """A schema's name, the steps that make it, and the number of the lock that is held meanwhile.

    The first step makes table `store` with a row of which `schema` is 0.
    """

    schema: str
    steps: tuple[str, ...]
    lock: int

    def check(self, version: int) -> None:
        """Raises CoordinationDown `newer_schema` if a newer release made the tables."""
        if version > len(self.steps):
            raise CoordinationDown(
                "newer_schema",
                f"the store in PostgreSQL was written by a newer release (schema {version}, "
                f"this one reads up to {len(self.steps)}); update this node",
            )

    def there(self, db: Db) -> bool:
        """Whether the schema has any tables, whoever made them."""
        found = db.execute("SELECT 1 FROM pg_tables WHERE schemaname = %s LIMIT 1", [self.schema])
        return found.fetchone() is not None

    def foreign(self) -> CoordinationDown:
        """What is said of tables that are not ours."""
        return CoordinationDown(
            "not_a_store", f"the schema {self.schema} in PostgreSQL belongs to another program"
        )

    def make(self, db: Db) -> None:
        """Make the tables, or bring those of an older release up to this one's version, and commit.

        Raises:
            CoordinationDown: `newer_schema`, or `not_a_store`.
        """
        db.execute("BEGIN")
        db.execute("SELECT pg_advisory_xact_lock(%s)", [self.lock])
        row = db.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{self.schema}.store"]).fetchone()
        version = 0
        if row == (True,):
            found = db.execute(f"SELECT schema FROM {self.schema}.store").fetchone()
            if found is None:
                raise self.foreign()
            version = found[0]
            self.check(version)
        elif self.there(db):
            raise self.foreign()
        elif db.execute("SELECT to_regnamespace(%s) IS NULL", [self.schema]).fetchone() == (True,):
            db.execute(f"CREATE SCHEMA {self.schema}")
        for step in self.steps[version:]:
            db.execute(step)
        if version < len(self.steps):
            db.execute(f"UPDATE {self.schema}.store SET schema = %s", [len(self.steps)])
        commit(db)
