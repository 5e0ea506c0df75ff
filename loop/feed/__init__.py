"""The signed update feed: what phones are told to run, as static bytes that any CDN can hold.

On the reading side ``canonical`` (one way to write a document) → ``document`` (roots and feeds as values) →
``envelope`` (signatures) → ``trust`` (what a device believes), whose errors are ``refusals``. On the writing side
``keys`` (private halves), ``roots`` (who may sign), ``ledger`` (what the store keeps of it), ``publish`` (champions →
folder) and ``verify``.

Rules, in the order in which ``trust`` asks them:

1. A device begins with a root document that came with the app, never with one from the network.
2. Roots follow one another without a gap, each signed by enough keys of the one before and by enough of its own.
3. A feed is signed by enough feed keys that the root certifies and that have not expired. Nothing unsigned is parsed.
4. A feed belongs to the root's epoch and to a root that the device has seen.
5. The sequence only rises, also through rollback, withdrawal and restored backups; one sequence, one document.
6. A feed expires; a clock that was set back does not bring it to life.
7. A model is installed if its bytes have the length and digest of the feed, if it is the family and version that the
   feed says, if it loads, and if it answers its golden vectors. Otherwise the device stays on the one that it has.
"""
