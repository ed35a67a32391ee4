"""One profile for hypothesis: the same examples in every run, no time limit on a busy machine."""

from hypothesis import settings

settings.register_profile("stochcore", max_examples=50, deadline=None, derandomize=True, database=None)
settings.load_profile("stochcore")
