"""The Django project, which is also its only app."""
