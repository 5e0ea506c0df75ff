"""Digit Loop: corrections from phones in, a judged and versioned Core ML model out.

Read the rooms in the order in which data flows through them: ``digits`` and ``corpus`` make the values,
``intake`` puts corrections into the ``store``, ``night`` is the loop itself (``snapshot``, ``training``,
``evaluation``, ``gate``, ``registry``), and ``cli`` is the door.
"""
