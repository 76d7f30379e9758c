"""Frappe's hooks of the app."""

app_name = "webhook_example"
app_title = "Webhook Example"
app_publisher = "The frappe_hooksig maintainers"
app_description = "Receives and sends signed webhooks"
app_email = "nobody@example.com"
app_license = "MIT"

# The same works for other DocTypes: on_submit of a Sales Invoice, or after_insert of a Customer.
doc_events = {
    "Webhook Example Order": {
        "after_insert": "webhook_example.senders.order_created",
        "on_submit": "webhook_example.senders.order_submitted",
    }
}

# Events whose background job was lost are handled by the next one of these.
scheduler_events = {"cron": {"*/10 * * * *": ["webhook_example.receivers.handle_waiting"]}}
