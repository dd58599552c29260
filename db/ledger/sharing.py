"""Whose turn it is: what tenants share, and how much of it each may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection, func, select

from db.settings import OTHERS, TenantShare
from db.states import TaskState
from db.tables import Job, JobProgress, Task

_Offer = TypeVar("_Offer")
_WHOLE = TenantShare()


def share_of(tenant: str, shares: Mapping[str, TenantShare]) -> TenantShare:
    """Return what a tenant may have."""
    return shares.get(tenant) or shares.get(OTHERS) or _WHOLE


def take_turns(
    offers: Mapping[str, Sequence[_Offer]], held: Mapping[str, int], shares: Mapping[str, TenantShare], free: int
) -> list[_Offer]:
    """Choose what is done next: each turn goes to the tenant that holds the least for its weight.

    Args:
        offers: What each tenant has to be done, in its own order.
        held: How much of each tenant's is being done already.
        shares: What tenants may have.
        free: How much can be chosen.
    """
    chosen: list[_Offer] = []
    count, left = Counter(held), {tenant: iter(its) for tenant, its in offers.items()}
    while left and len(chosen) < free:
        tenant = min(left, key=lambda name: (count[name] / share_of(name, shares).weight, name))
        most = share_of(tenant, shares).most_running
        offer = next(left[tenant], None) if most is None or count[tenant] < most else None
        if offer is None:
            del left[tenant]
        else:
            chosen.append(offer)
            count[tenant] += 1
    return chosen


def held_tasks(connection: Connection) -> Counter[str]:
    """Count each tenant's tasks that workers have, or are told of."""
    held = Counter[str]()
    for state in (TaskState.QUEUED, TaskState.RUNNING):  # one by one: each has an index, and both together have none
        of_tenant = select(Job.tenant, func.count()).join(Task, Task.job_id == Job.id).group_by(Job.tenant)
        held.update(dict(connection.execute(of_tenant.where(Task.state == state)).all()))
    return held


def stored_bytes(connection: Connection) -> dict[str, int]:
    """Return how much of the store each tenant's outputs take, in bytes; of all generations that are kept."""
    stored = func.coalesce(func.sum(JobProgress.bytes_out), 0)
    rows = connection.execute(
        select(Job.tenant, stored).join(JobProgress, JobProgress.job_id == Job.id).group_by(Job.tenant)
    )
    return {tenant: int(count) for tenant, count in rows}


def full_tenants(connection: Connection, shares: Mapping[str, TenantShare]) -> frozenset[str]:
    """Return who has as much in the store as it may: nothing new is begun for it."""
    if all(share.most_stored_bytes is None for share in shares.values()):
        return frozenset()
    stored = stored_bytes(connection)
    limits = {tenant: share_of(tenant, shares).most_stored_bytes for tenant in stored}
    return frozenset(tenant for tenant, most in limits.items() if most is not None and stored[tenant] >= most)
