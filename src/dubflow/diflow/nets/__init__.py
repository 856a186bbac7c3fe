"""The networks of DiFlowDubber: stage 1 speaks from text, stage 2 speaks to a picture.

Letters in every shape of this package:

    B  items of a batch            S  streams m + n + k (6): prosody, content, acoustic
    N  phonemes                    m, n, k  books of prosody (1), content (2), acoustic (3)
    F  video frames, 25 a second   V  codes of a book (1024)
    L  codec tokens, 80 a second   A  width of text and alignment (256 in the paper)
    R  tokens of the reference     D  width of the denoiser (768 in the paper)

The paper writes one D for both widths; they differ in its own figures (appendix B.2), so here they have two names.

Every module treats padding as absent: an item gives the same answer alone and beside longer ones. ``inside`` is the
boolean ``[B, T]`` that says which positions are an item's own.

Parts, in the order of the paper: ``text`` and ``durations`` and ``content`` (content modelling), ``prompt``,
``denoiser`` (DFPA), ``tts`` (stage 1, Eq. 9); ``fapro``, ``synchronizer`` with ``alignment_loss`` (Eq. 2 and 4) and
``monotonic`` (MAS), ``adaptation`` (CCTA), ``distillation`` (Eq. 5), ``ctc``, ``dubber`` (stage 2, Eq. 7).
"""
