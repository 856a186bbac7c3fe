"""How heads, props and rooms are drawn; callers use ``talkers.painter`` and ``talkers.backgrounds``."""
