"""What labels mean: the words of seven languages, codes, and which class is melanoma."""
