"""What alembic runs to upgrade: on the connection, and in the transaction, that `router.log.database` gives it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
