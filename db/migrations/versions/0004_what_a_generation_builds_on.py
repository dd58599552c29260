"""What a generation of an item builds on"""

revision = '0004'
down_revision = '0003'

import sqlalchemy as sa
from alembic import op


def upgrade() -> None:
    op.add_column('items', sa.Column('base_json', sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('items') as table:
        table.drop_column('base_json')
