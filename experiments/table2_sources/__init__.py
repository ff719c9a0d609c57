"""The paper's Table 2: what each source is worth, and whether one model can serve every subset of them."""
