"""A stand-in for the guard."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network


class AddressGuard:
    """Stand-in."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._allow = tuple(allow)

    def objection(self, address: str, host: str | None = None) -> str | None:
        """Stand-in."""
        for each in self._allow:
            if each == host:
                return None
            try:
                if ip_address(address) in ip_network(each):
                    return None
            except ValueError:
                continue
        return None if ip_address(address).is_global else f"{address} is not global"
