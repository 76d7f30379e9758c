"""A stand-in for Frappe: what runs inside of a site is tested without MariaDB and a bench.

It has the names that a webhook handler in a Frappe app uses, and does with them over HTTP what
Frappe 14, 15 or 16 does; which one, says the environment variable FRAPPE_VERSION. It is judged by
tests/vectors/frappe-receiving.json, where the answers of real sites are: the test
tests/integrations/test_frappe_site.py sends each of those requests to it again.

Put this folder's parent on PYTHONPATH and sites into a folder, SITES_PATH: there
common_site_config.json with the URLs `redis_cache` and `redis_queue`, and for each site a folder
named after its host with a site_config.json that has a `db_name`. tests/frappe_bench.py does that.

    gunicorn frappe.app:application
    python -m frappe.worker

Each site is a SQLite file, the cache and the queues are in a real Valkey, and jobs run in a process
of their own. Left out is all the rest, among it: fields and events of DocTypes, users other than
Guest and those with an API key, logins and with them the CSRF token, OAuth, hooks.py, web pages,
rate limits, encryption of passwords, RQ's time limits, and HTML sanitizing beyond the escaping of
tags.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import logging
import os
import secrets
import traceback
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, NoReturn

from werkzeug.local import Local, release_local

from frappe import exceptions
from frappe.database import Database
from frappe.exceptions import *  # noqa: F403  # all of them, as Frappe has it
from frappe.model.document import Document
from frappe.utils.background_jobs import enqueue as enqueue
from frappe.utils.html_utils import sanitize_html
from frappe.utils.redis_wrapper import RedisWrapper
from frappe.utils.typing_validations import validate_argument_types

VERSION = os.environ.get("FRAPPE_VERSION", "16")
__version__ = {"14": "14.81.1", "15": "15.40.3", "16": "16.0.0-dev"}[VERSION]

local = Local()
conf: Any = local("conf")
db: Any = local("db")
error_log: Any = local("error_log")
flags: Any = local("flags")
form_dict: Any = local("form_dict")
message_log: Any = local("message_log")
request: Any = local("request")
response: Any = local("response")
session: Any = local("session")

# Sets here and in 16, lists in 14 and 15: `in` is the same for both.
whitelisted: set[Callable[..., Any]] = set()
guest_methods: set[Callable[..., Any]] = set()
xss_safe_methods: set[Callable[..., Any]] = set()
allowed_http_methods_for_whitelisted_func: dict[Callable[..., Any], list[str]] = {}


class _dict(dict[str, Any]):
    """A dict whose keys are attributes too; the attribute of a missing key is None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # pickle and copy ask for methods that are not there
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def update(self, *args: Any, **kwargs: Any) -> _dict:  # type: ignore[override]
        super().update(*args, **kwargs)
        return self

    def copy(self) -> _dict:
        return _dict(self)


# --- Sites


def init(site: str, sites_path: str | None = None, force: bool = False) -> None:
    """Make everything of `frappe.local` anew, for a site; the request is kept."""
    if getattr(local, "initialised", False) and not force:
        return
    local.site = site
    local.sites_path = sites_path or os.environ.get("SITES_PATH", ".")
    local.site_path = os.path.join(local.sites_path, site)  # noqa: PTH118  # a str, as in Frappe
    local.error_log = []
    local.message_log = []
    local.cache = {}
    local.flags = _dict()
    local.form_dict = _dict()
    local.response = _dict(docs=[])
    local.session = _dict(data=_dict())
    local.request_ip = None
    local.conf = get_site_config()
    global cache  # noqa: PLW0603  # made by the first site of a process, for all of them
    if cache is None:
        cache = _connected_cache()
    local.initialised = True


def get_site_config(sites_path: str | None = None, site_path: str | None = None) -> _dict:
    """Return a site's configuration over the common one, which is all there is without a site."""
    config = _dict()
    common = Path(sites_path or local.sites_path, "common_site_config.json")
    if common.exists():
        config.update(json.loads(common.read_text("utf-8")))
    if site_path := site_path or getattr(local, "site_path", None):
        own = Path(site_path, "site_config.json")
        if not own.exists():
            raise exceptions.IncorrectSitePath
        config.update(json.loads(own.read_text("utf-8")))
    return config


def connect(site: str | None = None, *, set_admin_as_user: bool = True) -> None:
    if site:
        init(site)
    local.db = Database(os.path.join(local.site_path, f"{conf.db_name}.sqlite"))  # noqa: PTH118
    if set_admin_as_user:
        set_user("Administrator")


def destroy() -> None:
    if db:
        db.close()
    release_local(local)


def set_user(username: str) -> None:
    """Go on as somebody else, with nothing of the request's arguments."""
    session.update(user=username, sid=username, data=_dict())
    local.cache = {}
    local.form_dict = _dict()


def _connected_cache() -> Any:
    return RedisWrapper.from_url(conf.redis_cache)


# A function in 14; else an object, which can be called for itself.
cache: Any = functools.cache(_connected_cache) if VERSION == "14" else None


# --- Whitelisted methods


def whitelist(
    allow_guest: bool = False,
    xss_safe: bool = False,
    methods: list[str] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Open a function to HTTP: that very object, and no wrapper that somebody puts around it."""

    def decorator(fn: Callable[..., Any]) -> Callable[..., Any]:
        if VERSION != "14":
            fn = validate_argument_types(fn)
        whitelisted.add(fn)
        allowed_http_methods_for_whitelisted_func[fn] = methods or ["GET", "POST", "PUT", "DELETE"]
        if allow_guest:
            guest_methods.add(fn)
            if xss_safe:
                xss_safe_methods.add(fn)
        return fn

    return decorator


def is_whitelisted(method: Callable[..., Any]) -> None:
    """Refuse what is not open to this user, and make a guest's strings harmless in a page."""
    is_guest = session.user == "Guest"
    if method not in whitelisted or (is_guest and method not in guest_methods):
        throw(
            f"{method.__module__}.{method.__name__} is not open to you", exceptions.PermissionError
        )
    if is_guest and method not in xss_safe_methods:
        for key, value in form_dict.items():
            if isinstance(value, str):
                form_dict[key] = sanitize_html(value)


def get_attr(method_string: str) -> Any:
    module, _, name = method_string.rpartition(".")
    return getattr(importlib.import_module(module), name)


def call(fn: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function with those of the arguments that its signature has."""
    function = get_attr(fn) if isinstance(fn, str) else fn
    return function(*args, **get_newargs(function, kwargs))


def get_newargs(fn: Callable[..., Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(fn).parameters
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    wanted = {name: value for name, value in kwargs.items() if takes_all or name in parameters}
    for name in ("ignore_permissions", "flags"):
        wanted.pop(name, None)
    return wanted


# --- Errors and logs


def throw(
    msg: str, exc: type[Exception] = exceptions.ValidationError, title: str | None = None
) -> NoReturn:
    """Raise an exception, and show its message to the user."""
    shown = {"message": msg, "title": title or "Message", "indicator": "red", "raise_exception": 1}
    message_log.append(shown)
    if VERSION == "14":
        response["exc_type"] = exc.__name__  # the only way that 14 names an exception
    raise exc(msg)


def clear_messages() -> None:
    message_log.clear()


def get_traceback() -> str:
    return traceback.format_exc()


def log_error(title: str | None = None, message: str | None = None) -> None:
    """Write into the Error Log; in MariaDB, unlike here, no rollback takes that away."""
    row = (title or "Error", message or get_traceback())
    db.sql("insert into `tabError Log` (method, error) values (%s, %s)", row)


def logger(module: str | None = None) -> logging.Logger:
    """Return a logger for errors: a module's writes into a file of the site, others to stderr."""
    name = f"{module or 'frappe'}-{getattr(local, 'site', 'all')}"
    named = loggers.get(name)
    if named is None:
        named = logging.getLogger(name)
        named.setLevel(logging.ERROR)
        if module:
            file = Path(local.site_path, "logs", f"{module}.log")
            handler = RotatingFileHandler(file, maxBytes=100_000, backupCount=20)
            handler.setFormatter(
                logging.Formatter(f"%(asctime)s %(levelname)s {module} %(message)s")
            )
            named.addHandler(handler)
            named.propagate = False
        loggers[name] = named
    return named


loggers: dict[str, logging.Logger] = {}


def get_doc(fields: dict[str, Any]) -> Document:
    return Document({"name": secrets.token_hex(5)} | fields)


def get_all(
    doctype: str,
    filters: dict[str, Any] | None = None,
    fields: list[str] | None = None,
    order_by: str = "name desc",
    pluck: str | None = None,
) -> list[Any]:
    """Return all documents whose fields have these values, or one field of each."""
    rows = db.sql("select fields from documents where doctype = %s", doctype)
    found = [_dict(json.loads(columns)) for (columns,) in rows]
    found = [each for each in found if (filters or {}).items() <= each.items()]
    column, _, direction = order_by.partition(" ")
    found.sort(key=lambda each: str(each[column]), reverse=direction == "desc")
    if pluck:
        return [each[pluck] for each in found]
    return [_dict({name: each[name] for name in fields or ["name"]}) for each in found]


def as_json(obj: Any) -> str:
    return json.dumps(obj, indent=1, sort_keys=True, default=str)


def get_request_header(key: str, default: Any = None) -> Any:
    return request.headers.get(key, default)
