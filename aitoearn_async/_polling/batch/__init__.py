"""Many waits: refs are read, workers poll, outcomes and files come out."""
