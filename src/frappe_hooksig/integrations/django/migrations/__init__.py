"""What `manage.py migrate` makes of the models."""
