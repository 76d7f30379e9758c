"""Send captured requests of real Frappe sites to a real Flask server, and events from an outbox.

Exit with status 1 if any response is wrong.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import warnings
from http.client import HTTPConnection
from typing import Any

from cases import Case, cases, secrets
from delivering import delivering
from receiver import create_app, handled
from repeats import repeats
from serving import serving

from frappe_hooksig import SecretWarning


def send(port: int, case: Case) -> tuple[int, dict[str, Any], str]:
    """Send one request; return the status, the JSON and the time of verification."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(case.method, "/webhook", skip_accept_encoding=True)
    for name, value in case.headers:
        connection.putheader(name, value.encode())
    connection.putheader("Content-Length", str(len(case.body)))
    connection.endheaders(case.body)
    response = connection.getresponse()
    content = json.loads(response.read())
    connection.close()
    duration = re.search(r"dur=([\d.]+)", response.headers["Server-Timing"])
    return response.status, content, f"{float(duration[1]) * 1000:.0f} µs" if duration else "?"


def main() -> int:
    """Print the table; return the exit status."""
    # Silence the log: the table shows the reasons.
    logging.getLogger("frappe_hooksig").addHandler(logging.NullHandler())
    row = "{:32}  {:>6}  {:6}  {:22}  {:>9}  {}".format
    print(row("request", "bytes", "status", "why", "verified", ""))
    print(row("-" * 32, "-" * 6, "-" * 6, "-" * 22, "-" * 9, ""))
    wrong = 0
    # The captured sites have short secrets. Generate yours with generate_secret().
    warnings.simplefilter("ignore", SecretWarning)
    with serving(create_app(*secrets())) as port:
        for case in cases():
            status, content, duration = send(port, case)
            secret = content.get("secret")
            why = content.get("reason") or f"secret: {secret}"
            right = status == case.status and case.why in {content.get("reason"), secret}
            wrong += not right
            verdict = "" if right else f"<- expected {case.status} {case.why}"
            print(row(case.title, len(case.body), status, why, duration, verdict))
        print(f"\n{len(cases()) - wrong} of {len(cases())} responses are right.\n")
        wrong += show_repeats(port)
    wrong += show_deliveries()
    return 1 if wrong else 0


def show_repeats(port: int) -> int:
    """Print the results of repeated deliveries; return the number of wrong results."""
    row = "{:32}  {:6}  {:22}  {}".format
    print(row("repeated request", "status", "", "handled so far"))
    print(row("-" * 32, "-" * 6, "-" * 22, "-" * 14))
    wrong = 0
    for each in repeats(port, secrets()[0], handled):
        wrong += not each.right
        verdict = "" if each.right else "  <- wrong"
        print(row(each.title, each.status, each.outcome, f"{each.handled}{verdict}"))
    verdict = "not each handled once" if wrong else "each handled to its end once"
    print(f"\n{len(handled)} orders, {verdict}.")
    return wrong


def show_deliveries() -> int:
    """Print how an event arrives that must; return the number of wrong results."""
    row = "{:32}  {:10}  {:18}  {}".format
    print(row("\nan event from an outbox", " delivery", " answer", " handled so far"))
    print(row("-" * 32, "-" * 10, "-" * 18, "-" * 14))
    wrong = 0
    for each in delivering():
        wrong += not each.right
        verdict = "" if each.right else "  <- wrong"
        print(row(each.title, each.state, each.answer, f"{each.handled}{verdict}"))
    verdict = "not as it must be" if wrong else "delivered, and handled once"
    print(f"\n1 event, {verdict}; 1 that was rolled back, never sent.")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
