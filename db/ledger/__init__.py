"""Every change of state: one function, one transaction. The only code that writes to the tables.

``submission`` brings jobs and items in, ``dispatching`` rings doorbells, ``leasing`` hands tasks out, ``completing``
accepts results, ``failing`` answers failures, ``planning`` adds tasks, ``control`` obeys people, ``taking_back`` leaves
a step out after the fact, ``weights`` registers networks, ``worker_registry`` knows the workers, ``maintenance`` is the
leader's housekeeping. ``access`` lets people and programs in, ``webhooks`` tells others how jobs end, ``auditing``
remembers who did what, ``reviewing`` what people say of results, ``studying`` which of two pictures they call better.
``looking`` has workers show pictures to pages, ``copying`` carries all rows to another database,
``pruning`` lets go of what nobody needs, ``draining`` gives nothing more to machines at fault.

All of them build on four: ``job_states`` moves jobs, ``fencing`` refuses late writers and locks in one order,
``assignments`` reads rows as records, ``counting`` keeps the counters.
"""

from db.ledger.access import (
    Principal,
    add_token,
    close_session,
    open_session,
    principal_of_session,
    principal_of_token,
    revoke_token,
)
from db.ledger.assignments import read_assignment
from db.ledger.auditing import note
from db.ledger.completing import complete_item, complete_still, complete_task, finish_bundle
from db.ledger.control import cancel_job, pause_job, rerun, resume_job, set_priority
from db.ledger.copying import TableSum, copied_tables, copy_rows, is_empty, table_sums
from db.ledger.dispatching import Doorbell, dispatch, ring_again
from db.ledger.draining import DrainedWorker, drain_failing, is_drained
from db.ledger.failing import (
    Failure,
    fail_item,
    fail_reel,
    fail_still,
    hold_leases,
    quarantine_frame,
    reap,
    release_dead_worker,
    replan_smaller,
    retry,
)
from db.ledger.fencing import Lease
from db.ledger.leasing import Renewal, heartbeat, lease, release
from db.ledger.looking import LookStatus, answer_look, ask_look, forget_looks, look_prefix, poll_look, take_look
from db.ledger.maintenance import (
    clock,
    disbelieve_future,
    due_sweeps,
    finish_jobs,
    fold_counters,
    forget_rates,
    forget_sweeps,
    lead,
    over_threshold,
    resign,
    running_tasks,
)
from db.ledger.planning import NewTask, ReelPlan, ReelView, add_tasks, due_reels, replan_stranded
from db.ledger.pruning import PrunedRows, PruneRules, is_over, jobs_to_prune, prune_installation, prune_job
from db.ledger.reviewing import decide
from db.ledger.studying import (
    NewStudy,
    OpenedStudy,
    Presentation,
    StudyItem,
    StudyVariant,
    close_study,
    next_trial,
    open_study,
    vote,
    waiting_trial,
)
from db.ledger.submission import (
    JobRequest,
    LineError,
    NewLine,
    OpenedJob,
    add_lines,
    close_ingest,
    open_job,
)
from db.ledger.taking_back import take_back
from db.ledger.webhooks import (
    DueDelivery,
    NewWebhook,
    add_webhook,
    due_deliveries,
    follow_settings,
    mark_delivered,
    mark_failed,
    remove_webhook,
    switch_webhook,
)
from db.ledger.weights import NewWeights, add_weights, remove_weights, weights_in_use
from db.ledger.worker_registry import (
    WorkerIdentity,
    WorkerKind,
    equip_worker,
    register_worker,
    sign_off_worker,
    slots,
    worker_kinds,
)
from db.selection import Selection

__all__ = [
    "Doorbell",
    "DrainedWorker",
    "DueDelivery",
    "Failure",
    "JobRequest",
    "Lease",
    "LineError",
    "LookStatus",
    "NewLine",
    "NewStudy",
    "NewTask",
    "NewWebhook",
    "NewWeights",
    "OpenedJob",
    "OpenedStudy",
    "Presentation",
    "Principal",
    "PruneRules",
    "PrunedRows",
    "ReelPlan",
    "ReelView",
    "Renewal",
    "Selection",
    "StudyItem",
    "StudyVariant",
    "TableSum",
    "WorkerIdentity",
    "WorkerKind",
    "add_lines",
    "add_tasks",
    "add_token",
    "add_webhook",
    "add_weights",
    "answer_look",
    "ask_look",
    "cancel_job",
    "clock",
    "close_ingest",
    "close_session",
    "close_study",
    "complete_item",
    "complete_still",
    "complete_task",
    "copied_tables",
    "copy_rows",
    "decide",
    "disbelieve_future",
    "dispatch",
    "drain_failing",
    "due_deliveries",
    "due_reels",
    "due_sweeps",
    "equip_worker",
    "fail_item",
    "fail_reel",
    "fail_still",
    "finish_bundle",
    "finish_jobs",
    "fold_counters",
    "follow_settings",
    "forget_looks",
    "forget_rates",
    "forget_sweeps",
    "heartbeat",
    "hold_leases",
    "is_drained",
    "is_empty",
    "is_over",
    "jobs_to_prune",
    "lead",
    "lease",
    "look_prefix",
    "mark_delivered",
    "mark_failed",
    "next_trial",
    "note",
    "open_job",
    "open_session",
    "open_study",
    "over_threshold",
    "pause_job",
    "poll_look",
    "principal_of_session",
    "principal_of_token",
    "prune_installation",
    "prune_job",
    "quarantine_frame",
    "read_assignment",
    "reap",
    "register_worker",
    "release",
    "release_dead_worker",
    "remove_webhook",
    "remove_weights",
    "replan_smaller",
    "replan_stranded",
    "rerun",
    "resign",
    "resume_job",
    "retry",
    "revoke_token",
    "ring_again",
    "running_tasks",
    "set_priority",
    "sign_off_worker",
    "slots",
    "switch_webhook",
    "table_sums",
    "take_back",
    "take_look",
    "vote",
    "waiting_trial",
    "weights_in_use",
    "worker_kinds",
]  # fmt: skip
