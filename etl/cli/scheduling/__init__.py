"""``schedule``: ``run --cron`` in the crontab, or as a systemd timer, of the current user."""
