"""Inside the decoding process: another sound for the same picture."""
def run(*a): raise NotImplementedError
