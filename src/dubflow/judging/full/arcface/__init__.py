"""ArcFace (Deng et al., 2019): whose face it is."""
