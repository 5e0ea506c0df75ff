"""Handwriting as data: a digit, the picture it is read from, base corpora, and labelled handwriting."""
