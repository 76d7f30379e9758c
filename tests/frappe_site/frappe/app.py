"""The WSGI application of all sites: from a request to a whitelisted method, and back."""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any

import werkzeug
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.local import LocalProxy
from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

import frappe
from frappe.utils.password import get_decrypted_password

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LARGEST_BODY = 25 * 1024 * 1024
UNSAFE_METHODS = frozenset({"POST", "PUT", "DELETE", "PATCH"})
COOKIES = ("sid", "system_user", "full_name", "user_id", "user_image")
METHOD_PATH = re.compile(r"/api/(v[12]/)?method/(.+?)/?")


class Request(werkzeug.Request):
    max_form_memory_size = None  # no limit of its own in the Werkzeug that Frappe is pinned to


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    request = Request(environ)
    try:
        with request:
            body = answer(request)(environ, start_response)
    except Exception:
        frappe.destroy()
        raise  # to the server, which has an answer of its own
    return ClosingIterator(body, frappe.destroy)


def answer(request: Request) -> Response:
    """Answer a request, and commit what was done for it or roll it back."""
    frappe.local.request = request
    try:
        init_request(request)
        validate_auth()
        response = dispatch(request)
    except HTTPException as error:
        if frappe.db:
            frappe.db.rollback()
        return Response.force_type(error.get_response(request.environ))
    except Exception as error:  # noqa: BLE001  # whatever a method raises
        response = handle_exception(error)
        frappe.db.rollback()
        if getattr(error, "http_status_code", 500) >= 500:
            frappe.log_error(str(error))
            frappe.db.commit()
            frappe.logger().error(frappe.get_traceback())
    else:
        # What the answer is does not matter: a 401 that is returned is committed.
        if frappe.flags.commit or request.method in UNSAFE_METHODS:
            frappe.db.commit()
        else:
            frappe.db.rollback()
    set_cookies(response)
    return response


def init_request(request: Request) -> None:
    """Find the site, read the whole body, and begin a guest's session."""
    frappe.init(request.headers.get("X-Frappe-Site-Name") or request.host.split(":")[0], force=True)
    if not frappe.conf.db_name:
        raise NotFound
    frappe.connect(set_admin_as_user=False)
    request.max_content_length = int(frappe.conf.max_file_size or LARGEST_BODY)
    frappe.local.form_dict = make_form_dict(request)
    if request.method != "OPTIONS":
        start_session(request)


def make_form_dict(request: Request) -> frappe._dict:
    """Return the arguments; read as JSON they are taken from nowhere else."""
    text = request.get_data(as_text=True)
    if text and request.is_json:
        args = json.loads(text)
    else:
        args = {**request.args.to_dict(), **request.form.to_dict()}
    if isinstance(args, list) and frappe.VERSION != "14":
        return frappe._dict(data=args)
    if not isinstance(args, dict):
        frappe.throw("The arguments are no object")
    args.pop("_", None)
    return frappe._dict(args)


def start_session(request: Request) -> None:
    """Begin as Guest; no other session can be gone on with, and nobody can log in."""
    forwarded = request.headers.get("X-Forwarded-For", "127.0.0.1")
    frappe.local.request_ip = forwarded.split(",")[0].strip()
    frappe.session.update(user="Guest", sid="Guest")
    if frappe.form_dict.cmd == "login" or request.path == "/api/method/login":
        frappe.response["message"] = "Invalid login credentials"
        if frappe.VERSION == "14":
            frappe.response["exc_type"] = "DoesNotExistError"  # thrown and caught on the way
        raise frappe.AuthenticationError
    if str(frappe.form_dict.sid or request.cookies.get("sid", "Guest")) != "Guest":
        frappe.response["session_expired"] = 1


def validate_auth() -> None:
    """Log in with an API key; an Authorization header of two words must lead to a user."""
    words = frappe.get_request_header("Authorization", "").split(" ")
    if len(words) != 2:
        return
    kind, credentials = words[0].lower(), words[1]
    if kind == "basic":
        try:
            credentials = b64decode(credentials).decode(errors="replace")
        except binascii.Error:
            frappe.throw("That is no base64", frappe.InvalidAuthorizationToken)
    if kind in {"basic", "token"}:
        key, _, secret = credentials.partition(":")
        for (name,) in frappe.db.sql("select name from tabUser where api_key = %s", key):
            if secret == get_decrypted_password("User", name, "api_secret", False):
                form_dict = frappe.local.form_dict
                frappe.set_user(name)
                frappe.local.form_dict = form_dict
    if frappe.session.user in {None, "Guest"}:
        raise frappe.AuthenticationError


def dispatch(request: Request) -> Response:
    """Call the method that the arguments name, else the one of the path."""
    if request.method == "OPTIONS":
        return Response()
    if frappe.form_dict.cmd:
        returned = execute_cmd()
        # 15 and 16 lose a Response that is returned on this way.
        return returned if returned and frappe.VERSION == "14" else build_response()
    if not request.path.startswith("/api/"):
        raise NotFound
    found = METHOD_PATH.fullmatch(request.path)
    if not found or (found[1] and frappe.VERSION == "14"):
        raise frappe.DoesNotExistError
    version, method = found.groups()
    if version == "v2/":
        data = call_method(method)
        if isinstance(data, Response):
            return data
        if data is not None:
            frappe.response["data"] = data
        return build_response()
    frappe.form_dict.cmd = method
    return execute_cmd() or build_response()


def execute_cmd() -> Response | None:
    """Call the method that the arguments name; return its answer, if it made one itself."""
    data = call_method(frappe.form_dict.cmd)
    if isinstance(data, Response):
        return data
    if data is not None:
        frappe.response["message"] = data
    return None


def call_method(name: str) -> Any:
    try:
        method: Callable[..., Any] = frappe.get_attr(name)
    except Exception as error:  # noqa: BLE001  # as Frappe does
        frappe.throw(f"There is no method {name}: {error}")
    frappe.is_whitelisted(method)
    if frappe.request.method not in frappe.allowed_http_methods_for_whitelisted_func[method]:
        frappe.throw(f"{frappe.request.method} is not permitted", frappe.PermissionError)
    return frappe.call(method, **frappe.form_dict)


def build_response() -> Response:
    """Return what stands in `frappe.response`, with the tracebacks and messages there were."""
    answer = frappe.local.response
    if not answer.docs:
        answer.pop("docs", None)
    if frappe.error_log:
        answer["exc"] = json.dumps(frappe.error_log[:])
    if frappe.message_log:
        answer["_server_messages"] = json.dumps([json.dumps(each) for each in frappe.message_log])
    status = answer.pop("http_status_code", None) or 200
    text = json.dumps(answer, default=json_handler, separators=(",", ":"))
    return Response(text, status, mimetype="application/json")


def json_handler(value: Any) -> Any:
    if isinstance(value, (date, datetime, timedelta, LocalProxy)):
        return str(value)
    if isinstance(value, Iterable):
        return list(value)
    msg = f"{value!r} is nothing for JSON"
    raise TypeError(msg)


def handle_exception(error: Exception) -> Response:
    status = getattr(error, "http_status_code", 500)
    frappe.session.user = frappe.session.user or "Guest"
    if type(error) is frappe.AuthenticationError:
        frappe.flags.clear_cookies = True
    accept = frappe.get_request_header("Accept", "")
    is_ajax = frappe.get_request_header("X-Requested-With") == "XMLHttpRequest"
    if (accept and (is_ajax or "application/json" in accept)) or (
        frappe.request.path.startswith("/api/") and not accept.startswith("text")
    ):
        return report_error(error, status)
    page = f"<!doctype html><title>Error</title><h1>{escape(type(error).__name__)}</h1>"
    # 14 sends its page of an error as if it were none.
    return Response(page, 200 if frappe.VERSION == "14" else status, mimetype="text/html")


def report_error(error: Exception, status: int) -> Response:
    name = type(error).__name__
    shows = not frappe.flags.disable_traceback and (status != 404 or frappe.conf.logging)
    text = frappe.get_traceback()
    if frappe.request.path.startswith("/api/v2") and frappe.VERSION != "14":
        frappe.response["errors"] = [{"type": name} | ({"exception": text} if shows else {})]
    else:
        if shows:
            frappe.error_log.append(text)
            frappe.response["exception"] = text.splitlines()[-1]
        if frappe.VERSION != "14":
            frappe.response["exc_type"] = name
    response = build_response()
    response.status_code = status
    return response


def set_cookies(response: Response) -> None:
    """Tell a browser who it is, or to forget it."""
    user = frappe.session.user
    if not user:
        return
    values = (user, "no" if user == "Guest" else "yes", user, user, "")
    for name, value in zip(COOKIES, values, strict=True):
        response.set_cookie(name, value, samesite="Lax", httponly=name == "sid")
        if frappe.flags.clear_cookies:
            response.delete_cookie(name)
