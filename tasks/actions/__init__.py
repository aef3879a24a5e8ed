"""Plain functions, one module per kind of action. They know their client, never Celery."""
