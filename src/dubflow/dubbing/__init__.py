"""One job: a request, its segments, an engine, the stitched result."""
