"""The signed update feed: static files, on any web server or CDN, that name the models phones run.

Reading: ``canonical`` (the JSON form of documents) → ``document`` (roots and feeds as values) → ``envelope``
(signatures) → ``trust`` (what a device accepts), with errors in ``refusals``. Writing: ``keys`` (private keys),
``roots`` (root documents), ``authority`` (roots, keys and withdrawals in the store), ``publish`` (champions → folder),
``promotion`` and ``upkeep``.

Rules, in the order in which ``trust`` checks them:

1. A device starts with a root document that is built into the app, never with one from the network.
2. Roots follow one another without a gap. Each is signed by enough keys of the previous root and by enough of its own.
3. A feed is signed by enough feed keys that the root certifies and that have not expired. Nothing unsigned is parsed.
4. A feed belongs to the root's epoch and to a root that the device has seen.
5. The sequence only rises, also after a rollback, a withdrawal or a restored backup. One sequence has one document.
6. A feed expires. A clock that is set back does not make it valid again.
7. A model is installed if its bytes have the length and digest of the feed, if its metadata names the feed's family and
   version, if it loads, and if it reproduces its golden vectors. Otherwise the device keeps its current model.
"""
