"""Pictures that pages wait for, where the machine of the pages cannot show them itself"""

revision = '0007'
down_revision = '0006'

import sqlalchemy as sa
from alembic import op

ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    op.create_table(
        'looks',
        sa.Column('id', ID, primary_key=True),
        sa.Column('order_json', sa.Text(), nullable=False),
        sa.Column('state', sa.String(10), nullable=False),
        sa.Column('epoch', sa.Integer(), nullable=False),
        sa.Column('asked_at', sa.Float(), nullable=False),
        sa.Column('rung_at', sa.Float(), nullable=False),
        sa.Column('worker', sa.String(40), nullable=True),
        sa.Column('lease_until', sa.Float(), nullable=True),
        sa.Column('answer_json', sa.Text(), nullable=True),
    )
    op.create_index('ix_looks_asked_at', 'looks', ['asked_at'])


def downgrade() -> None:
    op.drop_table('looks')
