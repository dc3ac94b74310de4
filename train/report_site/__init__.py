"""The report of a run on a cache: the cache's own report of the scored clips, and what the run says of them beside it."""
