"""The gateway: webhooks and events in, the incident page out. It decides nothing."""
