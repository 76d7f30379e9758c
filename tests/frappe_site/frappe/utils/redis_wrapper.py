"""The cache: a Redis client, most of whose own methods take keys as they are."""

from __future__ import annotations

import pickle
from typing import Any

import redis

import frappe


class RedisWrapper(redis.Redis):
    def __call__(self) -> RedisWrapper:
        """Return itself, as `frappe.cache()` is how 14 has it."""
        return self

    def make_key(self, key: str, user: str | None = None, shared: bool = False) -> bytes | str:
        """Return a key that is this site's, unless it is shared."""
        if shared:
            return key
        return f"{frappe.conf.db_name}|{f'user:{user}:' if user else ''}{key}".encode()

    def exists(self, *names: str, user: str | None = None, shared: bool = False) -> Any:  # type: ignore[override]
        return super().exists(*(self.make_key(name, user, shared) for name in names))

    def set_value(
        self,
        key: str,
        val: Any,
        user: str | None = None,
        expires_in_sec: int | None = None,
        shared: bool = False,
    ) -> None:
        made = self.make_key(key, user, shared)
        if not expires_in_sec:
            frappe.local.cache[made] = val
        self.set(made, pickle.dumps(val), ex=expires_in_sec)

    def get_value(self, key: str, user: str | None = None, shared: bool = False) -> Any:
        made = self.make_key(key, user, shared)
        if made not in frappe.local.cache:
            value: Any = self.get(made)
            frappe.local.cache[made] = None if value is None else pickle.loads(value)
        return frappe.local.cache[made]

    def get_keys(self, key: str) -> Any:
        return self.keys(self.make_key(key + "*"))
