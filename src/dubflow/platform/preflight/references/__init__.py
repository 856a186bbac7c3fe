"""Names that one resource uses and another one has to bring."""
