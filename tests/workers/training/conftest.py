"""Networks are tested as workers run them."""

from tests.support.threads import one_thread as one_thread
