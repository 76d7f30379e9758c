"""Methods that write and that leave work to a worker; of them there are no recordings."""

from __future__ import annotations

from typing import Any

import frappe
from frappe.utils.password import get_decrypted_password
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response


@frappe.whitelist(allow_guest=True)
def write(then: Any) -> Any:
    """Write a row, then answer in one way or another."""
    frappe.db.sql("insert into done values (%s)", then)
    if then == "returns 401":
        return Response("no", 401)
    if then == "throws":
        frappe.throw("no")
    if then == "raises":
        raise Unauthorized
    return then


@frappe.whitelist(allow_guest=True)
def password_probe() -> Any:
    """Read a password without asking for an exception."""
    try:
        return get_decrypted_password("User", "Administrator", "api_secret", raise_exception=False)
    except frappe.ValidationError as error:
        return type(error).__name__


@frappe.whitelist(allow_guest=True)
def leave(job: Any, throws: Any = False, **options: Any) -> None:
    """Leave the work to a worker, once what was done here is committed."""
    options.pop("cmd")  # is in what `**` catches, and no job wants it
    frappe.enqueue(f"rigapp.work.{job}", queue="short", enqueue_after_commit=True, **options)
    if throws:
        frappe.throw("no")


def record(what: str) -> None:
    frappe.db.sql("insert into done values (%(what)s)", {"what": f"{what}, {frappe.session.user}"})


def record_and_fail(what: str) -> None:
    record(what)
    msg = "this job fails"
    raise ValueError(msg)


def record_at_second_try(what: str) -> None:
    record(what)
    cache = frappe.cache()
    if cache.set(cache.make_key("tried"), b"1", nx=True):
        raise frappe.RetryBackgroundJobError
