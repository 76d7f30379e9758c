"""How fast it is, side by side with what people write by hand and with other libraries."""
