"""The app whose methods answered in the recordings."""
