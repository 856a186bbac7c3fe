"""UTMOS22 (strong learner): network and judge of how natural a clip sounds."""
