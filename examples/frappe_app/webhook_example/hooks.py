"""What the app adds to a site."""

app_name = "webhook_example"
app_title = "Webhook Example"
app_publisher = "The frappe_hooksig maintainers"
app_description = "Receives and sends signed webhooks"
app_email = "nobody@example.com"
app_license = "MIT"

# As one would for a Sales Invoice (on_submit) and a Customer (after_insert).
doc_events = {
    "Webhook Example Order": {
        "after_insert": "webhook_example.senders.order_created",
        "on_submit": "webhook_example.senders.order_submitted",
    }
}
