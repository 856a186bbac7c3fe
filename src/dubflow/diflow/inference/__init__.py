"""From text, voice and picture to codec tokens and sound: both stages, in batches.

An item's tokens depend on the item and the settings, not on what else is in its batch: its noise is its own, and what
is padding is not read. What does not change over the steps of the flow (text, picture, plan, condition) is computed
once.
"""
