"""A receiver that is of no framework."""

from __future__ import annotations

from functools import partial

from frappe_hooksig.integrations._receiver import Receiver

make_receiver = partial(Receiver, target_of=lambda target: target)
