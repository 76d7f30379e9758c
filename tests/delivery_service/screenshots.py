"""Take the pictures of the page that the documentation shows.

Run it with `python -m tests.delivery_service.screenshots`, or name a folder for all pages in all sizes.
"""
