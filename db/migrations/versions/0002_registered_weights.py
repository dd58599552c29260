"""Registered weights"""

revision = '0002'
down_revision = '0001'

import sqlalchemy as sa
from alembic import op


def upgrade() -> None:
    op.create_table('weights',
    sa.Column('card', sa.String(length=100), nullable=False),
    sa.Column('files_json', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('licence_accepted', sa.Boolean(), nullable=False),
    sa.Column('added_at', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('card')
    )


def downgrade() -> None:
    op.drop_table('weights')
