"""SyncNet (Chung and Zisserman, 2016): LSE-C, LSE-D and the offset of sound against picture."""
