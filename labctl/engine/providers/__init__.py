"""The three providers the program needs: kubernetes (with helm releases), command, random."""
