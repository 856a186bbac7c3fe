"""The component smoke_dub."""
