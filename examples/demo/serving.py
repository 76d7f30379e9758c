"""Serve a Flask app on loopback while a block runs."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from socket import socket

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server


class QuietHandler(WSGIRequestHandler):
    """Logs no requests, so that the screen shows only the table."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


@contextmanager
def serving(app: Flask, listener: socket | None = None) -> Generator[int]:
    """Serve an app on a free loopback port, or on a socket that listens; yield the port."""
    server = make_server(
        "127.0.0.1",
        0,
        app,
        threaded=True,
        request_handler=QuietHandler,
        fd=None if listener is None else listener.fileno(),
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        if listener is not None:
            listener.close()  # else connections would wait there for an answer
