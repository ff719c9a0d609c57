"""One folder per question: README with the question, the command and the numbers."""
