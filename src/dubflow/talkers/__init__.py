"""The embedded world: draws and voices speaking heads with exact alignments."""
