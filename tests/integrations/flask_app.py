"""The Flask app that test_flask.py serves with gunicorn and sends requests to."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Flask, request
from flask.views import MethodView
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from frappe_hooksig import Secret, Verifier
from frappe_hooksig.integrations.flask import get_delivery, verify_frappe_webhook, verify_webhook
from tests.integrations import conformance
from tests.integrations.conformance import LIMITED, METHODS, OLD, SECRET, Comparisons

OTHER_APPS = "Tz5Hn8Vb2Jk6Pd0Lw4Xc9Rf3"

app = Flask(__name__)
app.config["FRAPPE_WEBHOOK_SECRET"] = [Secret(SECRET, id="new"), OLD]
blueprint = Blueprint("hooks", __name__)


comparisons = Comparisons()


def seen() -> dict[str, Any]:
    """Return what a view can see of a verified request."""
    return conformance.seen(get_delivery(), request.get_data())


@app.post("/compared")
def compared() -> dict[str, Any]:
    return {"count": comparisons.so_far()}


@app.route("/frappe", methods=METHODS)
@verify_frappe_webhook
def bare() -> dict[str, Any]:
    return seen()


@app.post("/limited")
@verify_frappe_webhook(max_body=LIMITED)
def limited() -> dict[str, Any]:
    return seen()


@app.route("/called/<name>", methods=METHODS)
@verify_frappe_webhook(secret=SECRET)
def called(name: str) -> dict[str, Any]:
    return {**seen(), "name": name}


@app.post("/async")
@verify_frappe_webhook
async def asynchronous() -> dict[str, Any]:
    return seen()


@app.post("/async-json")
@verify_frappe_webhook
async def asynchronous_json() -> dict[str, Any]:
    return {"json": get_delivery().json()}


@app.post("/json")
@verify_frappe_webhook
def parsed() -> dict[str, Any]:
    return {"json": get_delivery().json()}


@app.post("/flask-json")
@verify_frappe_webhook
def parsed_by_flask() -> dict[str, Any]:
    return {"flask": request.get_json()}


@app.post("/form")
@verify_frappe_webhook
def form() -> dict[str, Any]:
    files = {name: file.read().decode() for name, file in request.files.items()}
    return {"form": request.form.to_dict(), "files": files}


@app.post("/boom")
@verify_frappe_webhook
def boom() -> dict[str, Any]:
    msg = "the handler's own fault"
    raise ValueError(msg)


@app.route("/unverified", methods=METHODS)
def unverified() -> dict[str, Any]:
    return seen()


@verify_frappe_webhook
@app.post("/upside-down")
def upside_down() -> dict[str, Any]:
    return seen()


class Hook(MethodView):
    """A class whose every method is verified."""

    decorators = [verify_frappe_webhook]  # noqa: RUF012

    def post(self) -> dict[str, Any]:
        return {**seen(), "method": "post"}

    async def put(self) -> dict[str, Any]:
        return {**seen(), "method": "put"}


class HalfHook(MethodView):
    """A class of which one method is verified."""

    def get(self) -> str:
        return "open to everybody"

    @verify_frappe_webhook
    def post(self) -> dict[str, Any]:
        return {**seen(), "method": "post"}

    @verify_frappe_webhook
    async def put(self) -> dict[str, Any]:
        return {**seen(), "method": "put"}


app.add_url_rule("/class", view_func=Hook.as_view("hook"))
app.add_url_rule("/half-class", view_func=HalfHook.as_view("half_hook"))


@blueprint.post("/hook")
@verify_frappe_webhook
def in_a_blueprint() -> dict[str, Any]:
    return seen()


app.register_blueprint(blueprint, url_prefix="/blueprint")


def secret_of_capture(_request: Any) -> Any:
    """Return the secret of the site that a path stands for, or None."""
    return conformance.secret_of_capture((request.view_args or {})["index"])


@app.route("/captures/<int:index>", methods=METHODS)
@verify_frappe_webhook(secret=secret_of_capture)
def capture(index: int) -> dict[str, Any]:
    return {**seen(), "index": index}


for path, (sender, options) in conformance.senders().items():
    app.add_url_rule(f"/{path}", path, verify_webhook(sender, **options)(seen), methods=["POST"])

app.add_url_rule(
    "/verifier", "verifier", verify_webhook(Verifier(OLD, max_body=10))(seen), methods=["POST"]
)


def first(look: Callable[[], object]) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Let something look at the request before it is verified, as a careless app does."""

    def decorator(view: Callable[[], Any]) -> Callable[[], Any]:
        @wraps(view)
        def inner() -> Any:
            look()
            return view()

        return inner

    return decorator


for what, look in {
    "form": lambda: request.form,
    "files": lambda: request.files,
    "stream": lambda: request.stream.read(),  # noqa: PLW0108  # request is not there yet
    "part-of-stream": lambda: request.stream.read(1),
    "data-uncached": lambda: request.get_data(cache=False),
    "data": lambda: request.data,
    "stream-unread": lambda: request.stream,
    "json": lambda: request.get_json(silent=True),
    "values-of-url": lambda: request.args,
}.items():
    app.add_url_rule(
        f"/after/{what}",
        f"after-{what}",
        first(look)(verify_frappe_webhook(seen)),
        methods=["POST"],
    )

other = Flask("other")
other.config["FRAPPE_WEBHOOK_SECRET"] = OTHER_APPS
other.config["MAX_CONTENT_LENGTH"] = 20
other.register_blueprint(blueprint)

tiny = Flask("tiny")
tiny.config["FRAPPE_WEBHOOK_SECRET"] = SECRET
tiny.config["MAX_CONTENT_LENGTH"] = 0
tiny.register_blueprint(blueprint)

from_environment = Flask("from_environment")
from_environment.register_blueprint(blueprint)


def swallow(environ: dict[str, Any], start_response: Any) -> Any:
    """Read the body in a middleware, and put nothing in its place."""
    environ["wsgi.input"].read()
    return app.wsgi_app(environ, start_response)


def without_length(environ: dict[str, Any], start_response: Any) -> Any:
    """Stand for a server that does not mark the end of a chunked body."""
    environ.pop("wsgi.input_terminated", None)
    return app.wsgi_app(environ, start_response)


app_and_others = DispatcherMiddleware(
    app.wsgi_app,
    {
        "/other": other.wsgi_app,
        "/tiny": tiny.wsgi_app,
        "/environment": from_environment.wsgi_app,
        "/swallow": swallow,
        "/without-length": without_length,
    },
)
