"""The paper's Table 1: which generator is best, at equal steps and at equal cost."""
