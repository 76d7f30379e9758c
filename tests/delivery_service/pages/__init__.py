"""Tests of the delivery service's page, over HTTP and in a browser."""
