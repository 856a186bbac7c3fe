"""Model packages: a folder of weights, facts, card, licences and lineage, signed, and checked before it is loaded."""
