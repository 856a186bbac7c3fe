"""dubflow trains, judges, releases and serves video-dubbing models."""

__version__ = "0.1.0"
