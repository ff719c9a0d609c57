"""What a trained generator is for: augmented datasets and whole scenes."""
