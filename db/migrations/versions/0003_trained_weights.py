"""What a training says of its weights"""

revision = '0003'
down_revision = '0002'

import sqlalchemy as sa
from alembic import op


def upgrade() -> None:
    op.add_column('weights', sa.Column('card_json', sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('weights') as table:
        table.drop_column('card_json')
