"""Whether our schemes agree with the vendors' own libraries, in both directions."""
