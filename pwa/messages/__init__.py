"""Emails, texts and notifications, as people read them."""
