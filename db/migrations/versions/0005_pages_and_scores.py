"""Indexes for pages of items, and the scores of items as rows"""

revision = '0005'
down_revision = '0004'

import json
import math

import sqlalchemy as sa
from alembic import op

CHUNK = 1000


def upgrade() -> None:
    op.drop_index('items_failed', 'items')
    op.create_index('items_by_state', 'items', ['job_id', 'state', 'seq'])
    op.create_index('items_by_code', 'items', ['job_id', 'error_code', 'seq'],
                    postgresql_where=sa.text('error_code IS NOT NULL'),
                    sqlite_where=sa.text('error_code IS NOT NULL'))
    scores = op.create_table(
        'item_scores',
        sa.Column('item_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), sa.ForeignKey('items.id'),
                  primary_key=True),
        sa.Column('metric', sa.String(60), primary_key=True),
        sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('value', sa.Float(), nullable=False),
    )
    op.create_index('item_scores_by_value', 'item_scores', ['job_id', 'metric', 'value', 'item_id'])
    _fill(scores)


def _fill(scores: sa.Table) -> None:
    """Write down the scores of each item's newest result."""
    connection = op.get_bind()
    newest = 'SELECT item_id, MAX(generation) AS generation FROM results GROUP BY item_id'
    page = sa.text(
        'SELECT r.item_id, i.job_id, r.result_json FROM results r JOIN items i ON i.id = r.item_id'
        f' JOIN ({newest}) n ON n.item_id = r.item_id AND n.generation = r.generation'
        f' WHERE r.item_id > :after ORDER BY r.item_id LIMIT {CHUNK}'
    )
    after = 0
    while rows := connection.execute(page, {'after': after}).all():
        values = [
            {'item_id': row.item_id, 'job_id': row.job_id, 'metric': name[:60], 'value': float(value)}
            for row in rows
            for name, value in (json.loads(row.result_json).get('scores') or {}).items()
            if isinstance(value, int | float) and math.isfinite(value)
        ]
        if values:
            connection.execute(scores.insert(), values)
        after = rows[-1].item_id


def downgrade() -> None:
    op.drop_table('item_scores')
    op.drop_index('items_by_code', 'items')
    op.drop_index('items_by_state', 'items')
    op.create_index('items_failed', 'items', ['job_id', 'error_code'],
                    postgresql_where=sa.text("state IN ('failed','quarantined')"),
                    sqlite_where=sa.text("state IN ('failed','quarantined')"))
