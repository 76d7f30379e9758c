"""The command `delivery-service`."""

from __future__ import annotations

from delivery_service.commands import app


def main() -> None:
    """Run the command."""
    app(prog_name="delivery-service")


if __name__ == "__main__":
    main()
