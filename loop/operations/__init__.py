"""Operations: check an installation (``doctor``, ``verify``, ``status``), clean up (``garbage``), back up and restore.

Checks change nothing. A defect is a ``Finding`` with its fix, not an error.
"""
