"""`make service`: the service, a tenant, a worker and three receivers, in a temporary folder."""
