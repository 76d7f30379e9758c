"""`CacheStore`: in the cache of a Frappe site, or of several."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import frappe
import pytest
import redis

from frappe_hooksig import StoreError
from frappe_hooksig.integrations.frappe import CacheStore
from frappe_hooksig.replay import State
from frappe_hooksig.testing import StoreConformance
from tests.frappe_bench import valkey, valkey_url
from tests.replay.test_stores import NEW

STRETCHED = 1000  # as in test_redis, which Frappe 14's redis-py is too old for

__all__ = ["valkey_url"]  # a fixture


class OnSite:
    """A store whose callers are on a site, but for who renews; each second is many."""

    def __init__(self, store: CacheStore, folder: Path, site: str) -> None:
        self._store = store
        self._where = (site, str(folder))

    @contextmanager
    def _on_site(self) -> Iterator[CacheStore]:
        frappe.init(*self._where)
        yield self._store
        frappe.destroy()

    def claim(self, key: str, token: str, lease: float) -> State:
        with self._on_site() as store:
            return store.claim(key, token, lease * STRETCHED)

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[bool]:
        return self._store.renew(claims, lease * STRETCHED)

    def complete(self, key: str, token: str, retention: float) -> bool:
        with self._on_site() as store:
            return store.complete(key, token, retention * STRETCHED)

    def release(self, key: str, token: str) -> bool:
        with self._on_site() as store:
            return store.release(key, token)


def let_pass(url: str, seconds: float) -> None:
    """Let every key of a server end so much sooner."""
    with closing(redis.Redis.from_url(url)) as client:
        for key in client.scan_iter():
            client.pexpire(key, client.pttl(key) - round(seconds * STRETCHED * 1000))


def new_site(folder: Path, name: str, url: str) -> None:
    """Make what a site needs for its cache."""
    (folder / "common_site_config.json").write_text(json.dumps({"redis_cache": url}))
    (folder / name).mkdir()
    (folder / name / "site_config.json").write_text(json.dumps({"db_name": name}))


@pytest.fixture
def folder(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of two sites, whose cache is empty."""
    monkeypatch.setattr(frappe, "cache", None)
    for name in ("one", "other"):
        new_site(tmp_path, name, valkey_url)
    with closing(redis.Redis.from_url(valkey_url)) as client:
        client.flushall()
    return tmp_path


class TestCacheStore(StoreConformance):
    """In the cache of one site."""

    @pytest.fixture(autouse=True)
    def _site(self, folder: Path, valkey_url: str) -> None:
        self.folder = folder
        self.url = valkey_url

    @contextmanager
    def open_store(self) -> Iterator[OnSite]:
        yield OnSite(CacheStore(), self.folder, "one")
        frappe.cache().connection_pool.disconnect()

    def let_pass(self, seconds: float) -> None:
        let_pass(self.url, seconds)


def commands(client: Any) -> int:
    """Return how many renewals a server has been sent."""
    calls: int = client.info("commandstats").get("cmdstat_eval", {"calls": 0})["calls"]
    return calls


def test_claims_that_nobody_settles(folder: Path) -> None:
    """After a failed commit, Frappe tells the store nothing: it forgets the claim by itself."""
    store = CacheStore()
    one = OnSite(store, folder, "one")
    one.claim("a", "1", 4)
    store._claims["a", "1"].ends = 0  # noqa: SLF001  # as if it had ended long ago
    one.claim("b", "2", 4)

    assert list(store._claims) == [("b", "2")]  # noqa: SLF001
    frappe.cache().connection_pool.disconnect()


def test_sites(folder: Path, valkey_url: str) -> None:
    """The claims of all sites that share a cache are renewed by one command."""
    store = CacheStore()
    one, other = OnSite(store, folder, "one"), OnSite(store, folder, "other")
    assert one.claim("a", "1", 4) is NEW
    assert other.claim("a", "2", 4) is NEW
    with closing(redis.Redis.from_url(valkey_url)) as client:
        before = commands(client)
        claims = [("a", "1"), ("a", "2"), ("a", "3")]
        assert store.renew(claims, 4) == [True, True, False]
        assert commands(client) == before + 1
    frappe.cache().connection_pool.disconnect()


def test_caches(folder: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that is away keeps no claim in another one from being renewed."""
    store = CacheStore()
    one = OnSite(store, folder, "one")
    one.claim("a", "1", 4)
    pool = frappe.cache().connection_pool
    monkeypatch.setattr(frappe, "cache", None)
    with valkey() as url:
        new_site(folder, "elsewhere", url)
        elsewhere = OnSite(store, folder, "elsewhere")
        elsewhere.claim("b", "2", 4)
        frappe.cache().connection_pool.disconnect()
    with closing(redis.Redis.from_url(valkey_url)) as client:
        for claims in ([("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")]):
            (name,) = client.keys()
            client.pexpire(name, 1000)
            with pytest.raises(StoreError, match="the cache of elsewhere failed: ConnectionError"):
                store.renew(claims, 4)
            assert client.pttl(name) > 1000
    pool.disconnect()
