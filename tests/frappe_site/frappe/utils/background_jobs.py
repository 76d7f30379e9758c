"""Background jobs: lists in Redis instead of RQ, which frappe.worker takes them from."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

import redis

import frappe

QUEUES = ("short", "default", "long")
MOST_RETRIES = 5


def enqueue(
    method: str | Callable[..., Any],
    queue: str = "default",
    timeout: int | None = None,
    event: str | None = None,
    is_async: bool = True,
    job_name: str | None = None,
    now: bool = False,
    enqueue_after_commit: bool = False,
    *,
    job_id: str | None = None,
    **kwargs: Any,
) -> Any:
    """Have a function called by a worker with what is left of the arguments."""
    # 14 does not know it, and hands it on to the job.
    deduplicate = frappe.VERSION != "14" and kwargs.pop("deduplicate", False)
    if now or not is_async:
        return frappe.call(method, **kwargs)
    if queue not in QUEUES:
        frappe.throw(f"there is no queue {queue}")
    connection = redis.Redis.from_url(frappe.conf.redis_queue)
    mark = f"rq:job:{frappe.local.site}||{job_id}"
    if deduplicate and connection.exists(mark):
        return None
    job = {
        "site": frappe.local.site,
        "user": frappe.session.user,
        "method": method,
        "event": event,
        "job_name": job_name,
        "timeout": timeout,
        "kwargs": kwargs,
        "mark": mark if job_id else None,
    }

    def push() -> Any:
        # Arguments that are changed until then go out changed, as they do in Frappe.
        connection.rpush(f"rq:queue:{queue}", pickle.dumps(job))
        if job_id:
            connection.set(mark, queue)
        return frappe._dict(id=job_id)

    if enqueue_after_commit:
        frappe.db.call_after_commit(push)
        return None
    return push()


def execute_job(
    site: str,
    method: str | Callable[..., Any],
    kwargs: dict[str, Any],
    user: str | None = None,
    retry: int = 0,
) -> Any:
    """Call a job's function, and commit what it did; an exception rolls it back and is logged."""
    frappe.init(site)
    frappe.connect()
    if user:
        frappe.set_user(user)
    function = frappe.get_attr(method) if isinstance(method, str) else method
    name = f"{function.__module__}.{function.__qualname__}"
    try:
        result = function(**kwargs)
    except frappe.RetryBackgroundJobError:
        frappe.db.rollback()
        if retry == MOST_RETRIES:
            raise  # what Frappe logs here, it does not commit
    except Exception:
        frappe.db.rollback()
        frappe.log_error(title=name)
        frappe.db.commit()
        raise
    else:
        frappe.db.commit()
        return result
    finally:
        frappe.destroy()
    time.sleep(retry + 1)
    return execute_job(site, method, kwargs, retry=retry + 1)  # as Administrator, as in Frappe
