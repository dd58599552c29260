"""Metrics: one module each, and nothing else; the table is ``db.catalog.metrics``.

A picture is planes ``(C, H, W)`` float32, C 1 or 3, 0..1, gamma-coded. A module has two functions::

    update(picture) -> float                          # where the metric compares with nothing
    update(picture, other) -> float                   # where it compares with a source or a reference of the same size
    compute(values) -> float                          # all values ``(N,)`` of a reel or set, in order, none of them NaN

``update`` may raise ``ValueError`` for a picture that it cannot measure. Where a value is no single number, it is a
tuple of floats, and ``compute`` takes ``(N, K)``. It may have besides::

    observe(picture) -> Any                           # what ``update`` is given instead of a picture
    observe(pictures, judge) -> Sequence[Any]         # the same by the batch, where a judge is asked
    accumulate(state, values) -> state                # instead of keeping all values; begins with None
    LUMA_ONLY = True                                  # jobs give luma ``(1, H, W)``, made once for all
    DISTANCES = (1, 2)                                # it compares frames so far apart

A metric of jobs that can be taken of a picture in strips has instead of the whole picture's arithmetic::

    RADIUS_PX = 5                                     # rows above and below one that its share depends on
    row_values(picture, *, size) -> (H, K)            # what it needs to know of each row; takes the other one too
    from_rows(values, size) -> float                  # of all rows, in order

``size`` is the whole picture's, rows and columns; a row's values are the same in every strip that holds the rows around
it (``workers.ops.rows`` sums so). ``update`` puts the two together. So may be taken where a picture is restored, on a
device (``workers.ops.device_rows``), what has besides::

    device_row_values(pictures, *, size) -> (T, H, K) # of tensors (T, C, H, W); float64

With ``DISTANCES``, ``update(earlier, later)`` compares what ``observe(picture)`` saw of two frames of one film (with
what ``observe(picture, reference)`` saw, where it compares with a reference), and ``compute`` takes ``(D, N)``, NaN
where there is no pair. A judge that ``update`` needs is its keyword ``judge``; options are keywords.

Modules need torch, numpy and OpenCV alone, so that training can use them on a bare machine.
"""
