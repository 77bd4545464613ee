"""``explain``: why a contact holds what it holds, and what the next run would do about it."""
