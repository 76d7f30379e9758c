"""The URLs for the senders."""

from django.urls import path

from webhooks import views

urlpatterns = [
    path("erpnext/sales-order", views.sales_order),
    path("github", views.github),
    path("stripe", views.stripe),
]
