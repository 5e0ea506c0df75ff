"""Digit Loop: corrections from phones in, a judged and versioned Core ML model out.

Read the rooms in the order in which data flows through them. ``digits``, ``handwriting`` and ``corpus`` make values;
``intake`` puts corrections into the ``store``; ``night`` is the loop itself: ``snapshot``, a family's fine-tuning,
``evaluation`` of files that ``reading`` understands, the judges ``gate`` and ``trial``, ``publishing``, ``registry``;
``feed`` tells the phones, ``device`` is a phone's half of that; ``cli`` is the door.
"""
