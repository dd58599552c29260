"""Commands that serve until they are told to stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

STORM = r"""
import os, signal, subprocess, sys
from orchestrator.cli import services
RAIN = "import os, sys\nfor number in (15, 2, 1) * 20000: os.kill(int(sys.argv[1]), number)"
with services._stop_on_signal() as stop:
    # From a process of its own: one thread of ours could send none while another is in a handler.
    rain = subprocess.Popen([sys.executable, "-c", RAIN, str(os.getpid())])
    while rain.poll() is None:
        stop.wait(0.001)
        stop.clear()
print("through")
"""


def test_signals_that_come_upon_signals_do_not_wait_for_one_another() -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(STORM)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "through"), done.stderr


def test_one_signal_is_enough() -> None:
    code = "import signal, os\nfrom orchestrator.cli import services\n"
    code += (
        "with services._stop_on_signal() as stop:\n    os.kill(os.getpid(), signal.SIGTERM)\n    assert stop.wait(20)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
    assert signal.getsignal(signal.SIGTERM) is not None
