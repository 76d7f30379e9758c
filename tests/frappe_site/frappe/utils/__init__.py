"""Where Frappe has what an app imports by name."""
