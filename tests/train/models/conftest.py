"""Nothing of its own: fixtures come from tests/train/conftest.py, checks that models share from checks.py beside this."""
