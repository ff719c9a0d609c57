"""The paper's Figs 1 to 3 and 6 on data of ours, and whether synthetic images show more than real ones."""
