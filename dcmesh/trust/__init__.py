"""Who trusts whom, and how a change of certificates is guarded and seen through."""
