"""What operators ask for: is all well (``doctor``, ``verify``, ``status``), tidy up (``litter``), and come back after a
loss (``backup``, ``restore``).

Whoever looks changes nothing; what is wrong is a ``Finding`` with its fix, not an error.
"""
