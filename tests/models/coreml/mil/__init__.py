"""Tests of ML Programs."""
