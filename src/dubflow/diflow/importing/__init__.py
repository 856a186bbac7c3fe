"""Weights of others into networks of ours.

- ``layout``: names and shapes of the authors' public first stage (DiFlow-TTS), and the settings they imply.
- ``folding``: what differs in form only, folded into the weights, exactly.
- ``public_tts``: the importer.
"""
