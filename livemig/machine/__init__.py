"""CPUs, RAM with its dirty bitmap, run states, and what is saved of them in which order."""
