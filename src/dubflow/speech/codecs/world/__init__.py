"""The embedded default codec: WORLD's parameters with FACodec's token layout, fitted here in minutes.

``fitting.fit_world`` makes one, ``storage.save_world`` and ``storage.load_world`` keep it, ``codec.WorldCodec`` is it.
"""
