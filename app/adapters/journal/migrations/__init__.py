"""The journal's tables step by step, and how a database gets from one step to the next.

A revision is a module of ``versions``, numbered on; what was released is never edited. Whoever
imports this waits half a second for alembic, which a start with the newest tables does not need.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from app.adapters.journal.schema import VERSION_TABLE
from app.domain.errors import JournalError


def upgrade(connection: Connection, name: str, to: str = "head") -> None:
    """Run the steps that are missing, within the transaction `connection` is in.

    Raises JournalError when the journal called `name` has tables that this version does not know.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    found = context.get_current_revision()
    if found is not None and found not in known:
        raise JournalError(
            f"journal {name} was written by a newer version (its tables are {found}, the newest "
            f"known here {max(known)}): install that version, or restore an older backup"
        )
    command.upgrade(config, to)
