"""What a process keeps of earlier runs is forgotten before the first test: `make mutants` forks one that ran them."""

import sys

import pytest


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_kept_of_earlier_runs():
    modules = [module for name, module in sys.modules.items() if name.startswith("app.")]
    for kept in [one for module in modules for one in vars(module).values() if hasattr(one, "cache_clear")]:
        kept.cache_clear()
