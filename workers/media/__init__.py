"""The pixels' way in and out: the only place that opens films and photos.

``source`` finds files and checks fixity · ``pixels`` is the arithmetic between stored samples and float pictures ·
``planes`` ties it to FFmpeg's frames · ``container`` and ``sequence`` find frames in films and folders · ``survey``
looks a reel through once, ``slices`` checks FFV1's own checksums · ``index`` and ``reel`` give exact frames by number ·
``ffv1`` and ``access`` encode · ``remux`` and ``matroska`` put masters together · ``stills`` are photos · ``relay``
moves frames between threads · ``edge`` translates other libraries' errors.
"""
