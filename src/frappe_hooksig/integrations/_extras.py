"""Name the extra that an adapter needs, if its framework is not installed."""

from __future__ import annotations


def not_installed(error: ModuleNotFoundError, extra: str) -> ModuleNotFoundError:
    """Return the error for a framework that cannot be imported, with the command to install it.

    Args:
        error: Python's own error.
        extra: The extra of this package that installs the framework.
    """
    package = (error.name or extra).partition(".")[0]
    msg = f"{package} is not installed: pip install 'frappe-hooksig[{extra}]'"
    return ModuleNotFoundError(msg, name=error.name)
