"""How often the gate errs: 2,000 simulated pairs of systems with a known difference, a row a promise.

    python benchmarks/gate_errors.py [--pairs 2000] [--clips 120]

Simulated figures, of no world: they speak of the statistics alone.
"""

from __future__ import annotations

import argparse

import numpy as np

from dubflow.judging.gate.comparison import compare
from dubflow.judging.gate.power import needed
from dubflow.judging.gate.simulation import similarities, word_errors

ALPHA, POWER, ROUNDS = 0.05, 0.8, 1000
SHAPES = (("word errors", word_errors, False, 0.03), ("similarity", similarities, True, 0.02))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--clips", type=int, default=120)
    options = parser.parse_args()
    print(f"{options.pairs} pairs; each share is of pairs in which the claim was made; alpha {ALPHA:.0%}")
    print("| metric | clips | true gain | claim | ours | naive (mean is better) |")
    print("|---|---|---|---|---|---|")
    for name, draw, higher, margin in SHAPES:

        def shares(gain: float, limit: float, clips: int) -> tuple[float, float]:
            rng = np.random.default_rng(1)
            ours = naive = 0
            for _ in range(options.pairs):
                found = compare(draw(rng, gain, clips), higher_is_better=higher, seed=0, rounds=ROUNDS)  # noqa: B023
                if found is not None:
                    ours += found.p_above(limit) <= ALPHA
                    naive += found.gain > limit
            return ours / options.pairs, naive / options.pairs

        rng = np.random.default_rng(2)
        wide = [compare(draw(rng, margin, 400), higher_is_better=higher, seed=0, rounds=ROUNDS) for _ in range(20)]
        enough = needed(float(np.mean([one.spread for one in wide if one is not None])), margin, ALPHA, POWER)
        for gain, limit, clips, claim in (
            (0.0, 0.0, options.clips, "better, though equal"),
            (-margin, -margin, options.clips, "not worse by the margin, though it is"),
            (margin, 0.0, enough, f"better, with as many clips as the power line asks for ({POWER:.0%})"),
        ):
            ours, naive = shares(gain, limit, clips)
            print(f"| {name} | {clips} | {gain:+.2f} | {claim} | {ours:.1%} | {naive:.1%} |")


if __name__ == "__main__":
    main()
