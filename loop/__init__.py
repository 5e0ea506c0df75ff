"""Digit Loop: learn from corrected digits, and publish a judged and versioned Core ML model.

Read the packages in the order in which data flows. ``data`` decodes and normalises pictures. ``intake`` checks uploads
and writes them to the ``store``. ``night`` freezes a snapshot, fine-tunes a model family and publishes the result;
``evaluation`` scores and judges it; ``registry`` moves the aliases. ``feed`` signs what phones follow, and
``feed.client`` is the phone's half. ``schedule`` starts the nights, ``operations`` checks and repairs an installation,
``webhooks`` delivers events. ``api`` and ``cli`` are the two interfaces.
"""
