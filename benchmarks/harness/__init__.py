"""What the benchmarks share: the machine's facts, the data, the network, the loops, the record."""
