"""Inception v3 as FID has it (Heusel et al., 2017)."""
