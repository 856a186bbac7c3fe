"""DiFlowDubber: text, a reference voice and a silent video become speech that fits the lips.

``flow`` is the discrete flow (its law, its samplers), ``nets`` are the networks of both training stages. Modules here
import torch; whoever only asks for help or a listing imports none of them.
"""
