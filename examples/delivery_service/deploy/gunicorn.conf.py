"""Gunicorn: `gunicorn -c gunicorn.conf.py`. Variables of the environment can change what follows.

uvicorn's own worker class answers; gunicorn starts, watches and replaces the processes.
"""

from __future__ import annotations

import os

wsgi_app = "delivery_service.app:create_app()"
worker_class = "uvicorn_worker.UvicornWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))

# A socket file that only nginx can open. Nobody else can say that they are a proxy, so the
# addresses in X-Forwarded-For are those that nginx has seen, and limits on logins hold.
bind = os.environ.get("BIND", "unix:/run/delivery-service/web.sock")
umask = 0o007
is_private = bind.startswith("unix:")
# On a port, name the proxy: FORWARDED_ALLOW_IPS=10.0.0.7
forwarded_allow_ips = "*" if is_private else os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")

# A process that does not answer for so long is replaced. It is longer than any request takes.
timeout = 60
# After SIGTERM, requests that have begun may end. systemd and container engines wait for longer.
graceful_timeout = 20
keepalive = 20  # seconds; nginx keeps its connections open for less

# Memory that a library leaks comes back.
max_requests = 10_000
max_requests_jitter = 1_000

accesslog = None  # nginx writes one
errorlog = "-"
