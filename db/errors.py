"""Every error of the house, and the codes that people see.

The tree::

    ReelwrightError            code, message, remedy
    ├── InputError             what was asked for or sent in is wrong; never retried
    │   ├── ManifestError      a manifest as a whole cannot be read
    │   └── RecipeError        a recipe names an unknown stage or a bad parameter
    ├── WorkError              one attempt failed and may be tried again
    │   ├── TransientError     a passing cause: back off, then try again
    │   ├── OutOfMemoryError   the device was too small: plan again under a smaller batch or tile
    │   ├── PoisonFrameError   one frame kills the process that reads or restores it
    │   └── PoisonItemError    the work on an item kills its process, and no single frame is to blame
    ├── OutageError            a service is away: wait, no attempt is spent
    │   ├── StoreUnavailable   the object storage does not answer
    │   ├── DatabaseUnavailable
    │   ├── BrokerUnavailable
    │   └── DiskFull           no room on a disk: some may be made
    └── StopWork               the attempt must end now and is not a failure
        ├── LeaseLost          another attempt holds the task, or the lease ran out
        ├── WorkCancelled      the job was cancelled or paused
        └── WorkerLeaving      this worker was asked to shut down

Third-party exceptions are translated at their edge: av in ``workers.media``, botocore in ``db.s3``, sqlalchemy
in ``db.session``, CUDA memory in ``workers.device``.

Whatever comes is caught in two sorts of places alone: where a process, a thread or an attempt ends, and where code or
data that is not ours may raise anything (outside packages, files of weights). ``tests/db/test_errors.py`` names each
with its reason.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class CodeFacts:
    """What a code means to the person who reads it."""

    meaning: str
    """One sentence: what is wrong."""
    remedy: str
    """One sentence: what to do about it."""


CODES: dict[str, CodeFacts] = {
    # -- manifests, found before any work starts
    "MANIFEST_UNREADABLE": CodeFacts(
        "The manifest cannot be read.", "Check the path, the encoding (UTF-8) and the form."
    ),
    "MANIFEST_EMPTY": CodeFacts(
        "The manifest lists nothing.", "Add at least one line, or name a folder with media in it."
    ),
    "BAD_HEADER": CodeFacts(
        "A header or a file's first bytes are not what its kind needs.",
        "Repair the header, or replace the file with a good copy.",
    ),
    "BAD_VALUE": CodeFacts("A field has a value that is not allowed.", "Correct the field named in the message."),
    "BAD_MASK": CodeFacts(
        "A mask does not fit its item.",
        "Give a picture of the item's size, or for a reel a film or folder with as many frames; white marks damage.",
    ),
    "BAD_LINE": CodeFacts(
        "A line of a manifest cannot be understood, for a reason that was not foreseen.",
        "Write the line as docs/manifests shows it; if it is written so already, report it with the line.",
    ),
    "UNKNOWN_FIELD": CodeFacts(
        "A field is not known.",
        "Use the name that the message offers, if it is meant; for a value of your own take a name with `x_` before it "
        "or a dot in it, such as `x_note` or `dc.title`.",
    ),
    "DUPLICATE_ID": CodeFacts("Two lines have the same id.", "Give every line an id of its own."),
    "DUPLICATE_CONTENT": CodeFacts(
        "Two lines ask for the same: one source with one recipe, mask and span.",
        "Remove one of the lines, or say what is to be done otherwise.",
    ),
    "UNICODE_CLASH": CodeFacts("Two names differ only in Unicode form or letter case.", "Rename one of them."),
    "PATH_UNSAFE": CodeFacts(
        "A path leaves the manifest's folder or is not a plain path.",
        "Give a path inside the folder, or allow its folder, or prefix in S3, with `--source-root` or the setting "
        "`source_roots`.",
    ),
    "FILE_MISSING": CodeFacts("The source is not there.", "Check the path, or send the file."),
    "ZERO_BYTE": CodeFacts("The source is empty.", "Replace the file with a good copy."),
    "NOT_A_FILE": CodeFacts(
        "The source is a folder, a device or a pipe where a file is needed.", "Name a regular file."
    ),
    "SOURCE_DENIED": CodeFacts("The source may not be read.", "Give the worker's user read permission."),
    "CHECKSUM_MISMATCH": CodeFacts(
        "The source's checksum is not the one that the manifest gives.", "Send the file again, or correct the manifest."
    ),
    "FILE_UNEXPECTED": CodeFacts(
        "A file is there that the list of digests beside it does not name.",
        "Add it to the list if it belongs there, or remove it.",
    ),
    "BAG_INCOMPLETE": CodeFacts(
        "A bag does not contain what its own manifests list.", "Send the bag again, or let its owner repair it."
    ),
    "FETCH_REFUSED": CodeFacts(
        "A bag wants files to be fetched from elsewhere; nothing is ever fetched.",
        "Complete the bag, or take what is there of it with `--allow-fetch`.",
    ),
    "SOURCE_ARCHIVED": CodeFacts(
        "The object lies in a storage class that must be restored before it can be read.",
        "Restore it in S3, then `reelwright rerun JOB --item ID`.",
    ),
    "SEQUENCE_GAP": CodeFacts(
        "Frames are missing in an image sequence.",
        "Send the missing frames, or set the field `missing` to `hold` or `black`.",
    ),
    "MIXED_GEOMETRY": CodeFacts(
        "Frames of one reel differ in size, depth or channels.", "Split the reel where the size changes."
    ),
    "FPS_CONFLICT": CodeFacts(
        "Header and manifest give different frame rates.", "Say which is right with the field `fps`."
    ),
    "NO_SPACE": CodeFacts(
        "There is not enough room for the work.",
        "Free some space, or choose another disk with the settings `home` and `scratch`.",
    ),
    # -- recipes
    "RECIPE_UNREADABLE": CodeFacts(
        "The recipe cannot be read.", "Check the YAML; docs/recipes shows how one is written."
    ),
    "UNKNOWN_RECIPE": CodeFacts(
        "There is no recipe of that name.", "Use the path of a YAML file, or a shipped name; docs/recipes lists them."
    ),
    "UNKNOWN_STAGE": CodeFacts("There is no stage of that name.", "See `reelwright stages` for the names."),
    "BAD_PARAMETER": CodeFacts(
        "A stage's parameter is unknown or out of range.", "See `reelwright stages NAME` for the parameters."
    ),
    # -- media, found by a worker
    "UNKNOWN_FORMAT": CodeFacts(
        "The file is not a picture or film of a kind that can be read here.",
        "Convert it to a supported format; docs/formats lists them.",
    ),
    "TRUNCATED": CodeFacts(
        "The file ends before its header says it should.",
        "Send the file again, or set the field `params.accept_damaged` to true and submit it anew.",
    ),
    "CORRUPT": CodeFacts("The file's contents cannot be decoded.", "Send a good copy."),
    "TOO_LARGE": CodeFacts(
        "The picture, what a recipe makes of it, or the file is larger than the limit allows.",
        "If the file is trusted, raise the setting that the message names: `max_pixels`, `max_still_bytes` or "
        "`worker_memory_mb`.",
    ),
    "NO_PICTURE": CodeFacts("The file has no picture stream.", "Name a film or a photo; sound alone is not restored."),
    "INTERLACED": CodeFacts(
        "The film is interlaced or telecined; stages need whole frames.",
        "Begin the recipe with `deinterlace`, or set the field `params.accept_interlaced` to true.",
    ),
    "UNSUPPORTED_PIXELS": CodeFacts(
        "The pixel layout is not supported.", "Convert the file to grey, RGB or YUV of 8 to 16 bits."
    ),
    "CHANGED_DURING_WORK": CodeFacts(
        "The source changed while it was being read.",
        "Stop whatever writes to it, then `reelwright rerun JOB --item ID`.",
    ),
    "DECODER_CRASH": CodeFacts(
        "Reading or restoring the source kills the worker's process.",
        "Keep the file apart, inspect it, and send a good copy.",
    ),
    "POISON_FRAME": CodeFacts(
        "One frame kills the worker's process; a substitute stands in its place.",
        "Look at the frame named in the report.",
    ),
    # -- work
    "OUT_OF_MEMORY": CodeFacts(
        "The work did not fit into memory even in the smallest pieces.",
        "Raise the setting `worker_memory_mb` where there is more, run fewer `slots`, or send a smaller picture.",
    ),
    "STALLED": CodeFacts(
        "The work stopped moving.",
        "Rerun the item; if it stalls again, read `logs/worker-N.log` in the home.",
    ),
    "STORE_FAILED": CodeFacts(
        "The object storage refused a write or read.",
        "Check the storage's rights and space, then `reelwright rerun JOB`.",
    ),
    "NO_MODULE": CodeFacts(
        "The worker lacks a stage or metric that the catalogue lists.", "Install the same release on every worker."
    ),
    "WORKER_FAULT": CodeFacts(
        "The worker met an error that it does not know.",
        "Read the worker's log, `logs/worker-N.log` in the home; if the fault is ours, report it with the log.",
    ),
    "TOO_MANY_ATTEMPTS": CodeFacts(
        "The work failed every time it was tried.", "Correct the cause of the last error, then `reelwright rerun JOB`."
    ),
    "CANCELLED": CodeFacts(
        "The job was cancelled.", "If the item is wanted after all, `reelwright rerun JOB --state cancelled`."
    ),
    # -- running
    "UNKNOWN_JOB": CodeFacts("There is no such job.", "See `reelwright status` for the jobs."),
    "UNKNOWN_ITEM": CodeFacts("There is no such item in the job.", "See `reelwright status JOB` for the items."),
    "WRONG_STATE": CodeFacts("The job's state does not allow that.", "See `reelwright status JOB`."),
    "NOTHING_SELECTED": CodeFacts(
        "The selection matches no item.", "Widen the selection; `reelwright failures JOB` lists what failed."
    ),
    "NAME_TAKEN": CodeFacts("The name is in use, or was.", "Take another name."),
    "UNKNOWN_TOKEN": CodeFacts("There is no token of that name.", "Look at the list of tokens for the names."),
    "UNKNOWN_REVIEW": CodeFacts("There is no such review.", "Look at the list of reviews for the numbers."),
    "REVIEW_SUPERSEDED": CodeFacts(
        "A rerun made the item anew before anybody decided.", "Look at the newest result of the item."
    ),
    "UNKNOWN_LOOK": CodeFacts(
        "There is no such picture: what was asked for is kept for an hour.", "Ask for the picture again."
    ),
    "UNKNOWN_STUDY": CodeFacts("There is no such study.", "Look at the list of studies for the numbers."),
    "STUDY_CLOSED": CodeFacts("The study is over and takes no more votes.", "Ask whoever sent the link."),
    "UNKNOWN_TRIAL": CodeFacts("That pair of pictures was not shown to this rater.", "Judge the pair that is shown."),
    "ALREADY_VOTED": CodeFacts("The vote on that pair is given, and stands.", "Go on with the next pair."),
    "RANKING_IMPOSSIBLE": CodeFacts(
        "The votes do not compare all variants with one another, not even by way of others.", "Gather more votes."
    ),
    "UNKNOWN_WEBHOOK": CodeFacts("There is no such webhook.", "Look at the list of webhooks for the numbers."),
    "TOO_MANY_KEPT": CodeFacts(
        "As many are there as are kept, and none was added.", "Remove some that are not needed any more."
    ),
    "COUNT_DIFFERS": CodeFacts(
        "The selection means another number of items than it did when it was looked at.",
        "Look again, and confirm the new number.",
    ),
    "HOME_IN_USE": CodeFacts(
        "Another run, or a server, works in this home.",
        "A server does every job of its home, a run only its own to the end: wait until it has ended, then go on with "
        "`reelwright run --job JOB`; or use another `--home`.",
    ),
    "TARGET_IN_USE": CodeFacts(
        "The place that an installation is to be copied to is used already.",
        "Name an empty database, or a new folder; nothing was changed in this one.",
    ),
    "WORKERS_AT_WORK": CodeFacts(
        "Workers are at work in the installation that is to be copied, and what they do would be lost.",
        "Stop its orchestrators and workers first; to copy while they work, make a backup.",
    ),
    "WORKER_EXTRA_MISSING": CodeFacts(
        "This machine cannot touch pixels: the worker extra is not installed.",
        "Install it with: pip install 'reelwright[worker]'.",
    ),
    "SERVER_EXTRA_MISSING": CodeFacts(
        "The library for this server is not installed.", "Install it with: pip install 'reelwright[server]'."
    ),
    "OTIO_EXTRA_MISSING": CodeFacts(
        "The library that reads OpenTimelineIO is not installed.", "Install it with: pip install 'reelwright[otio]'."
    ),
    "WEB_EXTRA_MISSING": CodeFacts(
        "The libraries of the web face are not installed.", "Install them with: pip install 'reelwright[web]'."
    ),
    "ADDRESS_UNUSABLE": CodeFacts(
        "The server cannot listen at that address.", "Give another with `--host` and `--port`, or free that one."
    ),
    "BAD_SETTING": CodeFacts(
        "A setting has a value that is not allowed.", "Correct it; docs/settings lists every setting."
    ),
    # -- the web face
    "UNKNOWN_UPLOAD": CodeFacts(
        "There is no such upload.", "Send the file again: what no job is made of goes after a day."
    ),
    "UNAUTHENTICATED": CodeFacts(
        "Whoever asks is not known.",
        "Log in, or send a token as `Authorization: Bearer`; `reelwright tokens add NAME` makes one.",
    ),
    "FORBIDDEN": CodeFacts("That is not allowed to the one who asks.", "Ask with a token of a higher role."),
    "FOREIGN_REQUEST": CodeFacts(
        "The request does not come from a page of this server.",
        "Open the server's own address; a program sends a token, or an `Origin` that is this server's.",
    ),
    "WRONG_HOST": CodeFacts(
        "The request names a host that this server is not.",
        "Use the address that `reelwright serve` prints, or start it with `--public-url`.",
    ),
    "NOT_FOUND": CodeFacts("There is nothing at that address.", "See /api for the addresses."),
    "TOO_MANY_REQUESTS": CodeFacts("Too much is asked at once.", "Wait, then try again."),
    "BODY_TOO_LARGE": CodeFacts("More was sent than is taken there.", "Send less; docs/web says how much is taken."),
    "OUTPUT_ON_SOURCE": CodeFacts("An output would overwrite a source.", "Choose another place for the output."),
    "DATABASE_UNAVAILABLE": CodeFacts(
        "The database does not answer.", "Start it, or correct `REELWRIGHT_DATABASE_URL`."
    ),
    "DATABASE_OUTDATED": CodeFacts(
        "The database has an older schema than this release.", "Run `reelwright db upgrade`."
    ),
    "DATABASE_NEWER": CodeFacts(
        "The database belongs to a newer release; this one would misread it.",
        "Install the release that it was last used with, or a later one; or name another home with `--home`.",
    ),
    "DATABASE_DAMAGED": CodeFacts(
        "The database's file is damaged, or is none.",
        "Restore it from its backup; docs/how-to/back-up says how. Do not write to it.",
    ),
    "HOME_READ_ONLY": CodeFacts(
        "The home may only be read, and the command has to write there.",
        "Run it as the user who owns the home, or where its disk is mounted for writing; looking needs neither.",
    ),
    "PATH_UNUSABLE": CodeFacts(
        "A file or folder cannot be used as it is asked for.", "Check the path, who may use it, and its disk."
    ),
    "STORE_UNAVAILABLE": CodeFacts(
        "The object storage does not answer.", "Start it, or correct `REELWRIGHT_STORE_URI`."
    ),
    "BROKER_UNAVAILABLE": CodeFacts(
        "The message broker does not answer.", "Start it, or correct `REELWRIGHT_BROKER_URL`."
    ),
    "BLOB_MISSING": CodeFacts(
        "A blob that a record points to is not in the store.",
        "Restore the store from its backup, or rerun the item; docs/how-to/back-up says how.",
    ),
    "UNKNOWN_MODEL": CodeFacts("There is no model of that name.", "See `reelwright models list` for the names."),
    "MODEL_MISSING": CodeFacts(
        "The weights are not registered here.",
        "Register them with `reelwright models add FILE`; `reelwright models show NAME` says where they are published.",
    ),
    "BAD_CHECKPOINT": CodeFacts(
        "The file does not hold the weights that it should.",
        "Download it again from its authors, or name the weights that it holds with `--card`.",
    ),
    "UNSAFE_CHECKPOINT": CodeFacts(
        "The file would run code of its own when it is read; nothing of it was run.",
        "Do not trust it. Take the file from its authors, or one in safetensors form.",
    ),
    "LICENCE_NOT_ACCEPTED": CodeFacts(
        "The terms of these weights must be accepted first.", "Read them, then add `--accept-license`."
    ),
    "BAD_SHARD": CodeFacts("A file is not a tar shard of pictures, or is cut off.", "Copy or pack the shard again."),
    "TRAINING_DIFFERS": CodeFacts(
        "The folder holds another training.", "Give a folder of its own, or the options that it was begun with."
    ),
    "NOT_FINITE": CodeFacts(
        "The loss of a training is not a number any more.", "Train again in an empty folder with a lower `--rate`."
    ),
    "ALREADY_THERE": CodeFacts(
        "Something stands where a file would be written, and Reelwright does not know it as its own.",
        "Move it away, or give an empty folder.",
    ),
    "UNKNOWN_METRIC": CodeFacts(
        "Nothing is measured under that name.", "Take another; `reelwright metrics` lists the names."
    ),
    "OUTPUT_MISSING": CodeFacts(
        "A reference has no output, or an output no reference, to be compared with.",
        "Give both the same id, or leave the reference out.",
    ),
    "SIZE_MISMATCH": CodeFacts(
        "Pictures that should be compared differ in size or channels.",
        "Compare pictures of one size, or bring references to one with `reelwright evaluate --size`.",
    ),
    "FRAMES_DIFFER": CodeFacts(
        "Decoded frames are not those that were written down.",
        "Restore the file from its backup, or rerun the item; if a rerun differs on the same machine, report it.",
    ),
    "RECORD_DIFFERS": CodeFacts(
        "A record contradicts another one.",
        "Restore the database from its backup, or rerun the item; docs/how-to/back-up says how.",
    ),
    "RECORD_UNREADABLE": CodeFacts(
        "A row of the database holds what no release writes.",
        "Restore the database from its backup; docs/how-to/back-up says how.",
    ),
    "SIGNING_FAILED": CodeFacts(
        "An output cannot be signed with this key and certificate.",
        "Give a key that belongs to the certificate, in PEM form, and a certificate that is valid today for signing; a "
        "time-stamping authority that is named must answer.",
    ),
    "SIGNATURE_INVALID": CodeFacts(
        "A sidecar's signature does not hold for the file beside it.",
        "Write both again with `reelwright get`; if the file was changed on purpose, sign it again.",
    ),
    "C2PA_EXTRA_MISSING": CodeFacts(
        "Nothing can be signed here: C2PA's library is not installed.",
        "Install it with: pip install 'reelwright[c2pa]'.",
    ),
    "KEY_UNSAFE": CodeFacts(
        "A blob key is not of the allowed form.", "Report this: keys are made by Reelwright itself."
    ),
}


class ReelwrightError(Exception):
    """Base of all errors that people are meant to read.

    Attributes:
        code: One of :data:`CODES`.
        message: What happened, and where (file, line, frame).
        remedy: What to do; the code's own remedy unless a better one was given.
    """

    code = "WORKER_FAULT"

    def __init__(self, message: str, *, code: str | None = None, remedy: str | None = None) -> None:
        """Name the code when it is not the class's own; an unlisted code is a mistake in our code."""
        super().__init__(message)
        self.code = code or type(self).code
        self.message = message
        self.remedy = remedy or CODES[self.code].remedy


class InputError(ReelwrightError):
    """What was asked for or sent in is wrong. Never retried."""

    code = "BAD_VALUE"


class ManifestError(InputError):
    """A manifest as a whole cannot be read."""

    code = "MANIFEST_UNREADABLE"


class RecipeError(InputError):
    """A recipe cannot be read, or names an unknown stage or a bad parameter."""

    code = "RECIPE_UNREADABLE"


class WorkError(ReelwrightError):
    """One attempt failed."""


class TransientError(WorkError):
    """A passing cause: the task is tried again after a pause that grows."""

    code = "STORE_FAILED"


class OutOfMemoryError(WorkError):
    """The device was too small for the batch or tile."""

    code = "OUT_OF_MEMORY"


class PoisonFrameError(WorkError):
    """One frame kills the process that reads or restores it.

    Attributes:
        frame: Its absolute number in the reel.
    """

    code = "POISON_FRAME"

    def __init__(self, message: str, *, frame: int) -> None:
        """Name the frame by its absolute number."""
        super().__init__(message)
        self.frame = frame


class PoisonItemError(WorkError):
    """The work on an item kills the process that does it, and no single frame is to blame."""

    code = "DECODER_CRASH"


class OutageError(ReelwrightError):
    """A service is away. Whoever meets it waits; no attempt is spent."""

    code = "DATABASE_UNAVAILABLE"


class StoreUnavailable(OutageError):
    """The object storage does not answer."""

    code = "STORE_UNAVAILABLE"


class DatabaseUnavailable(OutageError):
    """The database does not answer."""

    code = "DATABASE_UNAVAILABLE"


class BrokerUnavailable(OutageError):
    """The message broker does not answer."""

    code = "BROKER_UNAVAILABLE"


class DiskFull(OutageError):
    """A disk has no room, or a quota is used up."""

    code = "NO_SPACE"


class StopWork(Exception):
    """The attempt must end now; that is not a failure."""


class LeaseLost(StopWork):
    """Another attempt holds the task, or the lease ran out: nothing may be written under it any more."""


class WorkCancelled(StopWork):
    """The job was cancelled or paused."""


class WorkerLeaving(StopWork):
    """This worker was asked to shut down."""


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def lacks_room(error: BaseException | None) -> bool:
    """Whether a full disk, a quota, or a limit on files' size lies behind an exception, whatever that became."""
    while error is not None:
        # Libraries that wrap FFmpeg and SQLite have the number too, and not always the class.
        if getattr(error, "errno", None) in _NO_ROOM or getattr(error, "sqlite_errorname", None) == "SQLITE_FULL":
            return True
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__
    return False


def os_error(where: str, error: OSError) -> ReelwrightError:
    """Say what the system refused, about the file that it names or else ``where``."""
    place = repr(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else where
    if lacks_room(error):
        return DiskFull(f"{place:.300}: {os.strerror(error.errno or errno.ENOSPC)}")
    return InputError(f"{place:.300}: {error.strerror or error}", code="PATH_UNUSABLE")


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name closest to ``name``; an empty string where none is close."""
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)  # `sparkle` is no `upscale`: 0.57
    return f" Did you mean {matches[0]!r}?" if matches else ""
