"""Every change of state: one function, one transaction. The only code that writes to the tables.

``submission`` brings jobs and items in, ``dispatching`` rings doorbells, ``leasing`` hands tasks out, ``completing``
accepts results, ``failing`` answers failures, ``planning`` adds tasks, ``control`` obeys people, ``weights`` registers
networks, ``upkeep`` is the leader's housekeeping. ``counting`` keeps the counters for all of them.
"""

from db.ledger.completing import complete_item, complete_still, complete_task, finish_bundle
from db.ledger.control import Selection, cancel_job, pause_job, rerun, resume_job, set_priority
from db.ledger.dispatching import Doorbell, dispatch, ring_again
from db.ledger.failing import (
    Failure,
    fail_item,
    fail_still,
    hold_leases,
    quarantine_frame,
    reap,
    retry,
    shrink,
    worker_gone,
)
from db.ledger.leasing import (
    Lease,
    Renewal,
    WorkerCard,
    heartbeat,
    lease,
    leave,
    read_assignment,
    register_worker,
    release,
    slots,
)
from db.ledger.maintenance import due_sweeps, finish_jobs, fold, lead, over_threshold, resign, running_tasks, swept
from db.ledger.planning import NewTask, ReelPlan, ReelView, add_tasks, due_reels, strand
from db.ledger.submission import (
    FINISH,
    LIGHT,
    RESTORE,
    JobRequest,
    LineError,
    NewLine,
    OpenedJob,
    add_lines,
    close_ingest,
    open_job,
)
from db.ledger.weights import NewWeights, add_weights, remove_weights, weights_in_use

__all__ = [
    "FINISH", "LIGHT", "RESTORE", "Doorbell", "Failure", "JobRequest", "Lease", "LineError", "NewLine", "NewTask",
    "NewWeights", "OpenedJob", "ReelPlan", "ReelView", "Renewal", "Selection", "WorkerCard", "add_lines",
    "add_tasks", "add_weights", "cancel_job", "close_ingest", "complete_item", "complete_still", "complete_task",
    "dispatch", "due_reels", "due_sweeps", "fail_item", "fail_still", "finish_bundle", "finish_jobs", "fold",
    "heartbeat", "hold_leases", "lead", "lease", "leave", "open_job", "over_threshold", "pause_job",
    "quarantine_frame", "read_assignment", "reap", "register_worker", "release", "remove_weights", "rerun",
    "resign", "resume_job", "retry", "ring_again", "running_tasks", "set_priority", "shrink", "slots", "strand",
    "swept", "weights_in_use", "worker_gone",
]  # fmt: skip
