"""ERes2Net, 3D-Speaker's speaker encoder: network, features, and the judge of V-SIM."""
