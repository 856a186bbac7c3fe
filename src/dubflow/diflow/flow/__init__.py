"""Discrete flow matching over codec tokens, with a source in which every token is masked.

Written from the papers alone (DiFlowDubber, section 3.3 and appendix B.2.1; Gat et al., "Discrete Flow Matching"). One
mathematical object a module:

- ``vocabulary``: codes, pad and mask.
- ``schedule``: kappa, how much of the target is visible at time t.
- ``path``: the mixture path, which corrupts targets for training.
- ``loss``: the posterior cross-entropy (Eq. 1).
- ``velocity``: the probability velocity (Eq. 8) and the chance of a jump in one step.
- ``samplers``: from all masked to tokens, in 1 to 128 steps.
"""
