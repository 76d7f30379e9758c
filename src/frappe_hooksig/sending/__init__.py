"""Send a webhook: one attempt done right, and when to try again."""
