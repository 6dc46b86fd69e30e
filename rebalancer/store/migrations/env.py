"""Runs the migrations on the connection, and inside the transaction, of whoever asked for them."""

from alembic import context

from rebalancer.store.tables import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
