"""A worker: a process that does the background jobs of all sites, one after the other."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from typing import Any

import redis

import frappe
from frappe.utils.background_jobs import QUEUES, execute_job


def work() -> None:
    """Take job after job, until the process is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    url = frappe.get_site_config(os.environ.get("SITES_PATH", ".")).redis_queue
    connection: Any = redis.Redis.from_url(url)
    print(f"waits for jobs at {url}", flush=True)  # noqa: T201
    while True:
        _, pickled = connection.blpop([f"rq:queue:{queue}" for queue in QUEUES])
        job = pickle.loads(pickled)
        try:
            execute_job(job["site"], job["method"], job["kwargs"], job["user"])
        except Exception:  # noqa: BLE001  # the next job does not suffer from it
            traceback.print_exc()
        finally:
            if job["mark"]:
                connection.delete(job["mark"])


if __name__ == "__main__":
    work()
