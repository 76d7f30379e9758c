"""The delivery service of examples/delivery_service, over HTTP, with real databases."""
