"""Readers of the same topics: replay, explain, export. Neither Faust nor Celery in here."""
