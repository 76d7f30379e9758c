"""`make service`: the service with a tenant, a worker and two receivers, in a temporary folder."""
