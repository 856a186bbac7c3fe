"""I3D (Carreira and Zisserman, 2017): what FVD compares clips by."""
