"""Who may come in, what people judge, and whom to tell: tokens, reviews, studies, webhooks, audit"""

revision = '0006'
down_revision = '0005'

import sqlalchemy as sa
from alembic import op

ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    op.create_table(
        'api_tokens',
        sa.Column('id', ID, primary_key=True),
        sa.Column('name', sa.String(100), nullable=False, unique=True),
        sa.Column('role', sa.String(10), nullable=False),
        sa.Column('sha256', sa.String(64), nullable=False, unique=True),
        sa.Column('prefix', sa.String(12), nullable=False),
        sa.Column('created_at', sa.Float(), nullable=False),
        sa.Column('expires_at', sa.Float(), nullable=True),
        sa.Column('last_used_at', sa.Float(), nullable=True),
        sa.Column('revoked_at', sa.Float(), nullable=True),
    )
    op.create_table(
        'sessions',
        sa.Column('id', ID, primary_key=True),
        sa.Column('sha256', sa.String(64), nullable=False, unique=True),
        sa.Column('token_id', ID, sa.ForeignKey('api_tokens.id'), nullable=True),
        sa.Column('name', sa.String(100), nullable=False),
        sa.Column('role', sa.String(10), nullable=False),
        sa.Column('created_at', sa.Float(), nullable=False),
        sa.Column('expires_at', sa.Float(), nullable=False),
    )
    op.create_index('ix_sessions_expires_at', 'sessions', ['expires_at'])
    op.create_index('ix_sessions_token_id', 'sessions', ['token_id'])
    op.create_table(
        'reviews',
        sa.Column('id', ID, primary_key=True),
        sa.Column('job_id', ID, nullable=False),
        sa.Column('item_id', ID, sa.ForeignKey('items.id'), nullable=False),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('metric', sa.String(60), nullable=False),
        sa.Column('gate', sa.String(40), nullable=False),
        sa.Column('value', sa.Float(), nullable=True),
        sa.Column('start_frame', sa.Integer(), nullable=True),
        sa.Column('stop_frame', sa.Integer(), nullable=True),
        sa.Column('distance', sa.Float(), nullable=False),
        sa.Column('verdict', sa.String(10), nullable=True),
        sa.Column('decided_by', sa.String(100), nullable=False),
        sa.Column('note', sa.Text(), nullable=False),
        sa.Column('decided_at', sa.Float(), nullable=True),
    )
    op.create_index('reviews_decided', 'reviews', ['distance', 'id'],
                    postgresql_where=sa.text("decided_at IS NOT NULL"), sqlite_where=sa.text("decided_at IS NOT NULL"))
    op.create_index('reviews_decided_of_job', 'reviews', ['job_id', 'distance', 'id'],
                    postgresql_where=sa.text("decided_at IS NOT NULL"), sqlite_where=sa.text("decided_at IS NOT NULL"))
    op.create_index('reviews_of_item', 'reviews', ['item_id', 'generation'])
    op.create_index('reviews_open', 'reviews', ['distance', 'id'],
                    postgresql_where=sa.text("verdict IS NULL"), sqlite_where=sa.text("verdict IS NULL"))
    op.create_index('reviews_open_of_job', 'reviews', ['job_id', 'distance', 'id'],
                    postgresql_where=sa.text("verdict IS NULL"), sqlite_where=sa.text("verdict IS NULL"))
    op.create_table(
        'studies',
        sa.Column('id', ID, primary_key=True),
        sa.Column('name', sa.String(200), nullable=False),
        sa.Column('question', sa.Text(), nullable=False),
        sa.Column('state', sa.String(10), nullable=False),
        sa.Column('seed', sa.BigInteger(), nullable=False),
        sa.Column('variants_json', sa.Text(), nullable=False),
        sa.Column('created_by', sa.String(100), nullable=False),
        sa.Column('link_sha256', sa.String(64), nullable=False, unique=True),
        sa.Column('created_at', sa.Float(), nullable=False),
        sa.Column('closed_at', sa.Float(), nullable=True),
    )
    op.create_table(
        'trials',
        sa.Column('id', ID, primary_key=True),
        sa.Column('study_id', ID, sa.ForeignKey('studies.id'), nullable=False),
        sa.Column('external_id', sa.Text(), nullable=False),
        sa.Column('kind', sa.String(10), nullable=False),
        sa.Column('repeat_of', ID, nullable=True),
        sa.Column('variant_a', sa.String(100), nullable=False),
        sa.Column('variant_b', sa.String(100), nullable=False),
        sa.Column('picture_a', sa.Text(), nullable=False),
        sa.Column('picture_b', sa.Text(), nullable=False),
        sa.Column('name_a', sa.String(40), nullable=False, unique=True),
        sa.Column('name_b', sa.String(40), nullable=False, unique=True),
        sa.Column('judged', sa.Integer(), nullable=False),
    )
    op.create_index('trials_of_study', 'trials', ['study_id', 'judged', 'id'])
    op.create_table(
        'votes',
        sa.Column('id', ID, primary_key=True),
        sa.Column('study_id', ID, sa.ForeignKey('studies.id'), nullable=False),
        sa.Column('trial_id', ID, sa.ForeignKey('trials.id'), nullable=False),
        sa.Column('rater', sa.String(64), nullable=False),
        sa.Column('position', sa.Integer(), nullable=False),
        sa.Column('a_is_left', sa.Boolean(), nullable=False),
        sa.Column('choice', sa.String(5), nullable=True),
        sa.Column('shown_at', sa.Float(), nullable=False),
        sa.Column('decided_at', sa.Float(), nullable=True),
        sa.UniqueConstraint('trial_id', 'rater'),
    )
    op.create_index('votes_of_rater', 'votes', ['study_id', 'rater', 'position'], unique=True)
    op.create_table(
        'webhooks',
        sa.Column('id', ID, primary_key=True),
        sa.Column('url', sa.Text(), nullable=False),
        sa.Column('secret', sa.String(100), nullable=False),
        sa.Column('events_json', sa.Text(), nullable=False),
        sa.Column('created_at', sa.Float(), nullable=False),
        sa.Column('disabled', sa.Boolean(), nullable=False),
    )
    op.create_table(
        'deliveries',
        sa.Column('id', ID, primary_key=True),
        sa.Column('webhook_id', ID, sa.ForeignKey('webhooks.id', ondelete='CASCADE'), nullable=False),
        sa.Column('message_id', sa.String(40), nullable=False),
        sa.Column('event', sa.String(40), nullable=False),
        sa.Column('job_id', ID, nullable=False),
        sa.Column('body_json', sa.Text(), nullable=False),
        sa.Column('state', sa.String(10), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('created_at', sa.Float(), nullable=False),
        sa.Column('next_at', sa.Float(), nullable=False),
        sa.Column('last_status', sa.Integer(), nullable=True),
        sa.Column('last_error', sa.String(200), nullable=False),
    )
    op.create_index('deliveries_due', 'deliveries', ['next_at'],
                    postgresql_where=sa.text("state = 'pending'"), sqlite_where=sa.text("state = 'pending'"))
    op.create_index('deliveries_of_webhook', 'deliveries', ['webhook_id', 'id'])
    op.create_table(
        'audit',
        sa.Column('id', ID, primary_key=True),
        sa.Column('at', sa.Float(), nullable=False),
        sa.Column('who', sa.String(100), nullable=False),
        sa.Column('action', sa.String(60), nullable=False),
        sa.Column('what', sa.String(300), nullable=False),
        sa.Column('detail_json', sa.Text(), nullable=False),
    )


def downgrade() -> None:
    for table in (
        'audit', 'deliveries', 'webhooks', 'votes', 'trials', 'studies', 'reviews', 'sessions', 'api_tokens',
    ):
        op.drop_table(table)
