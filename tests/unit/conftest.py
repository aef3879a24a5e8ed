"""The laws on the same timelines in every run, so that a failure is the change's; `make laws` draws others."""

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("other", deadline=None)
settings.load_profile("same")
