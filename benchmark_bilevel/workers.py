"""Worker processes of a run on several cores."""

import multiprocessing
import os
import threading
import time


def end_with_parent(interval=1.0):
    """In a worker, end soon after the process that started it was killed.

    Otherwise joblib's workers finish their cell and then wait five minutes for more.

    Parameters
    ----------
    interval : float
        Seconds between two looks.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        arguments = (parent.pid, interval)
        threading.Thread(target=_watch, args=arguments, daemon=True).start()


def _watch(parent, interval):
    while os.getppid() == parent:
        time.sleep(interval)
    os._exit(1)
