"""In any order of publications and attacks a device's trust never falls, and it runs only former champions."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loop.errors import FeedRefused
from loop.feed.client import state as states
from loop.feed.layout import FEED_FILE, model_path, root_path
from tests.feed.client import attacks, attacks_on_files, attacks_on_roots
from tests.feed.client.conftest import Phone
from tests.feed.simulator import HOUR, Publisher, key

CHAMPIONS = (1, 2, 3)
HARMLESS = {  # these need earlier steps, or move the clock by a year
    attacks.rollback_to_an_older_feed,
    attacks.signed_by_an_expired_key,
    attacks.signed_by_a_revoked_key,
    attacks.mix_and_match_new_feed_old_roots,
    attacks_on_roots.root_that_takes_a_recovery_back,
    attacks_on_files.no_channel_for_the_family,  # an honest feed, signed by the real key
}
STRIKES = [a for a in attacks.ON_ROOTS_AND_FEEDS if a.strike not in HARMLESS]
FILE_STRIKES = [a for a in attacks.ON_FILES if a.strike not in HARMLESS]


class Following(RuleBasedStateMachine):
    """One publisher, one device, and an attacker between them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.publisher = Publisher()
        self.phone = Phone(Path(self.folder.name) / "phone", self.publisher)
        self.champions: set[int] = set()
        self.published: list[bytes] = []
        self.trust = (0, 0, 0)

    @initialize()
    def begin(self) -> None:
        """Version 1 is published and installed."""
        self.publish(1)
        self.honest_sync()

    @rule(version=st.sampled_from(CHAMPIONS))
    def publish(self, version: int) -> None:
        """A promotion or a rollback."""
        self.champions.add(version)
        self.published.append(self.publisher.publish(version))

    @rule(recover=st.booleans())
    def rotate(self, recover: bool) -> None:
        """A new feed key, sometimes with a new epoch; published with the next feed."""
        self.publisher.feed_keys = [key(f"feed-{self.publisher.trusted.root.version + 1}")]
        self.publisher.rotate(new_epoch=recover)
        self.publish(1)

    @rule(hours=st.integers(1, 20))
    def time_passes(self, hours: int) -> None:
        """Time passes, less than a feed's life."""
        self.publisher.now += hours * HOUR
        self.publish(1)

    @rule()
    def honest_sync(self) -> None:
        """Without an attacker the device gets the last publication."""
        done = self.phone.sync()
        assert done.sequence == self.publisher.sequence
        assert done.root == self.publisher.trusted.root.version

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """A replayed feed is an error, unless it is the newest."""
        self.honest_sync()
        held = dict(self.publisher.shelf.files)
        old = data.draw(st.sampled_from(self.published))
        self.publisher.shelf.files[FEED_FILE] = old
        self.struck(old != self.published[-1])
        self.publisher.shelf.files = held

    @rule(attack=st.sampled_from(STRIKES))
    def strike(self, attack: attacks.Attack) -> None:
        """A named attack on feeds or roots, on an up-to-date device."""
        self.honest_sync()
        held = self.kept()
        self.publisher.shelf.files.pop(root_path(self.publisher.trusted.root.version + 1), None)
        attack.strike(self.publisher)
        self.struck(True)
        self.back(held)

    @rule(attack=st.sampled_from(FILE_STRIKES))
    @precondition(lambda self: self.publisher.sequence)
    def strike_at_files(self, attack: attacks.Attack) -> None:
        """A named attack on a feed's files; the feed itself is signed by the real key and counts."""
        self.publisher.publish(2)
        files, now = dict(self.publisher.shelf.files), self.publisher.now
        attack.strike(self.publisher)
        held = states.load(self.phone.folder)
        try:
            done = self.phone.sync()
            assert held is not None
            if done.current != held.current:  # a sync before fetched the honest model, and failed at something else
                honest = files[model_path(done.current.digest)]
                assert states.model_file(self.phone.folder, done.current.digest).read_bytes() == honest
        except FeedRefused:
            pass
        self.champions.add(2)
        self.publisher.shelf.files, self.publisher.now = files, now
        self.publish(1)

    def struck(self, surely: bool) -> None:
        """Sync under an attack."""
        refused = False
        try:
            self.phone.sync()
        except FeedRefused:
            refused = True
        assert refused or not surely

    def kept(self) -> tuple[object, ...]:
        """The publisher's state before an attack."""
        p = self.publisher
        return dict(p.shelf.files), dict(p.roots), p.trusted, p.sequence, p.now, p.feed_keys

    def back(self, kept: tuple[object, ...]) -> None:
        """Restore the publisher's state."""
        p = self.publisher
        p.shelf.files, p.roots, p.trusted, p.sequence, p.now, p.feed_keys = kept  # type: ignore[assignment]

    @invariant()
    def trust_never_falls(self) -> None:
        """Epoch, root and sequence only rise (a new epoch restarts the sequence)."""
        state = states.load(self.phone.folder)
        if state is None:
            return
        trusted = state.trusted
        now = (trusted.root.epoch, trusted.sequence, trusted.root.version)
        assert now[2] >= self.trust[2]
        assert now[:2] >= self.trust[:2]
        self.trust = now

    @invariant()
    def only_champions_run(self) -> None:
        """The current model was champion once, and its file is complete."""
        running = self.phone.version()
        assert running is None or running in self.champions

    def teardown(self) -> None:
        """Remove the folder."""
        self.folder.cleanup()


TestFollowing = Following.TestCase
TestFollowing.settings = settings(max_examples=12, stateful_step_count=10, deadline=None)
