"""Addresses that the settings name, beside those that were added by people"""

revision = '0008'
down_revision = '0007'

import sqlalchemy as sa
from alembic import op


def upgrade() -> None:
    op.add_column('webhooks', sa.Column('from_settings', sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table('webhooks') as table:
        table.drop_column('from_settings')
