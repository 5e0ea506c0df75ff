import Foundation

/// The state that a device must never lose: the root, and the last feed (sequence 0: none of this epoch yet).
struct Trusted: Sendable, Equatable {
    var root: Root
    var rootData: Data
    var sequence = 0
    var feedDigest: String?
    var issued: Date?
}

/// The last asking policy that a device accepted; like ``Trusted`` it must never be lost.
struct SeenAsking: Sendable, Equatable {
    let epoch: Int
    let sequence: Int
    let digest: String
}

/// What feeds and asking policies have in common.
protocol Sequenced {
    /// For messages.
    static var kind: String { get }
    var epoch: Int { get }
    /// Rises within an epoch.
    var sequence: Int { get }
    var expires: Date { get }
}

extension LoopFeed: Sequenced {
    static let kind = "feed"
}

extension Asking: Sequenced {
    static let kind = "asking policy"
}

/// What a device does after it accepted a feed.
struct Choice: Sendable {
    let installs: Bool
    let release: LoopRelease
    let why: String
}

/// What a device trusts (`loop/feed/trust.py`): trusted state and new bytes → new trusted state, or one error that names the
/// broken rule. No IO; the clock is an argument. The rules run in the order in which they are written here.
struct Trust: Sendable {
    let cryptography: any LoopCryptography

    /// Trusts the root document that is built into the app. Throws if it does not sign itself.
    func begin(_ data: Data) throws -> Trusted {
        let envelope = try Envelope(data)
        let root = try Root.parse(envelope.body, cryptography)
        try isSignedByItself(root, envelope)
        return Trusted(root: root, rootData: data)
    }

    /// Trusts the next root. A root of a new epoch forgets the feeds of the old one.
    func follow(_ trusted: Trusted, _ data: Data) throws -> Trusted {
        let envelope = try Envelope(data)
        try isSignedByTheOneBefore(trusted.root, envelope)
        let root = try Root.parse(envelope.body, cryptography)
        try followsWithoutAGap(trusted.root, root)
        try isSignedByItself(root, envelope)
        try epochDoesNotFall(trusted.root, root)
        if root.epoch > trusted.root.epoch { return Trusted(root: root, rootData: data) }
        var next = trusted
        (next.root, next.rootData) = (root, data)
        return next
    }

    /// What to trust in an app with the root `data` built in (`loop/feed/built_in.py`): its root if that has a higher version,
    /// else as before. A root of the same epoch keeps the last feed's sequence, one of any other epoch forgets it.
    func builtIn(_ trusted: Trusted, _ data: Data) throws -> Trusted {
        let found = try begin(data)
        let version = found.root.version
        if version == trusted.root.version, try Envelope(data).body != Envelope(trusted.rootData).body {
            throw LoopError(
                .equivocated,
                "built-in root \(version): expected the root that this device trusts, got another; build in one of a higher version")
        }
        // An old app must not bring revoked keys back.
        if version <= trusted.root.version { return trusted }
        if found.root.epoch != trusted.root.epoch { return found }
        var next = trusted
        (next.root, next.rootData) = (found.root, data)
        return next
    }

    /// Trusts a feed. If it throws, no part of the feed may be used.
    func accept(_ trusted: Trusted, _ data: Data, now: Date) throws -> (trusted: Trusted, feed: LoopFeed) {
        let envelope = try Envelope(data)
        let moment = notBeforeIssued(trusted, now)
        try isSignedByFeedKeys(trusted.root, envelope, moment)
        let feed = try LoopFeed.parse(envelope.body)
        let digest = cryptography.digest(envelope.body)
        try isOfTheEpoch(trusted, feed)
        try isUnderAKnownRoot(trusted, feed)
        try sequenceDoesNotFall(trusted.sequence, feed)
        try isTheOneDocumentOfItsSequence(trusted.sequence, trusted.feedDigest, feed, digest)
        try hasNotExpired(feed, moment)
        var next = trusted
        (next.sequence, next.feedDigest, next.issued) = (feed.sequence, digest, feed.issued)
        return (next, feed)
    }

    /// Trusts an asking policy, after the feed. Sequences of another epoch are forgotten, as those of feeds are.
    func acceptAsking(
        _ trusted: Trusted, _ seen: SeenAsking?, _ data: Data, now: Date
    ) throws -> (seen: SeenAsking, asking: Asking) {
        let envelope = try Envelope(data)
        let moment = notBeforeIssued(trusted, now)
        try isSignedByFeedKeys(trusted.root, envelope, moment)
        let asking = try Asking.parse(envelope.body)
        let digest = cryptography.digest(envelope.body)
        let last = seen.flatMap { $0.epoch == trusted.root.epoch ? $0 : nil }
        try isOfTheEpoch(trusted, asking)
        try sequenceDoesNotFall(last?.sequence ?? 0, asking)
        try isTheOneDocumentOfItsSequence(last?.sequence ?? 0, last?.digest, asking, digest)
        try hasNotExpired(asking, moment)
        return (SeenAsking(epoch: asking.epoch, sequence: asking.sequence, digest: digest), asking)
    }

    /// The action of a device that runs the model with digest `holds`. `ios` nil accepts every model. Throws `noChannel`.
    func choose(
        _ feed: LoopFeed, channel: String, device: String, ios: (major: Int, minor: Int)?, holds: String?
    ) throws -> Choice {
        guard let release = feed.channels[channel] else {
            let offered = feed.channels.keys.sorted().joined(separator: ", ")
            throw LoopError(.noChannel, "expected a channel \(channel), got \(offered.isEmpty ? "none" : offered)")
        }
        func keep(_ why: String) -> Choice { Choice(installs: false, release: release, why: why) }
        if release.digest == holds { return keep("this model is already installed") }
        if let ios, let needed = LoopRelease.iosVersion(release.minimumIOS), ios < needed {
            return keep("the model needs iOS \(release.minimumIOS)")
        }
        let usable = holds.map { !feed.withdrawn.contains($0) } ?? false
        if usable, bucket(device: device, digest: release.digest) >= release.rolloutPercent {
            return keep("the rollout is at \(release.rolloutPercent) % and does not include this device yet")
        }
        return Choice(installs: true, release: release, why: release.urgent ? "urgent release" : "new release")
    }

    /// 0 to 99, fixed for one device and one model. The device takes part if this is below the percentage.
    func bucket(device: String, digest: String) -> Int {
        Int(cryptography.sha256(Data("\(device):\(digest)".utf8)).prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) } % 100)
    }

    // MARK: Rules of roots

    private func isSignedByTheOneBefore(_ before: Root, _ envelope: Envelope) throws {
        let count = envelope.signers(before.rootKeys, cryptography)
        if count < before.rootThreshold {
            throw LoopError(
                .tooFewSignatures,
                "root: expected \(before.rootThreshold) valid signatures by keys of root \(before.version), got \(count)")
        }
    }

    private func followsWithoutAGap(_ before: Root, _ root: Root) throws {
        if root.version - 1 != before.version {
            throw LoopError(.rootSkipped, "root: expected version \(before.version + 1), got \(root.version)")
        }
    }

    /// So that its keys can also sign the next root.
    private func isSignedByItself(_ root: Root, _ envelope: Envelope) throws {
        let count = envelope.signers(root.rootKeys, cryptography)
        if count < root.rootThreshold {
            throw LoopError(
                .tooFewSignatures,
                "root \(root.version): expected \(root.rootThreshold) valid signatures by its own keys, got \(count)")
        }
    }

    /// A root cannot undo a recovery.
    private func epochDoesNotFall(_ before: Root, _ root: Root) throws {
        if root.epoch < before.epoch {
            throw LoopError(
                .epochFell, "root \(root.version): expected epoch \(before.epoch) or later, got \(root.epoch)")
        }
    }

    // MARK: Rules of feeds

    /// The device's time, or the issue time of the last trusted feed if that is later.
    private func notBeforeIssued(_ trusted: Trusted, _ now: Date) -> Date { max(now, trusted.issued ?? now) }

    private func isSignedByFeedKeys(_ root: Root, _ envelope: Envelope, _ moment: Date) throws {
        try isSignedByCertifiedKeys(root, envelope)
        try isSignedByValidKeys(root, envelope, moment)
    }

    private func isSignedByCertifiedKeys(_ root: Root, _ envelope: Envelope) throws {
        let count = envelope.signers(root.feedKeys.mapValues(\.publicKey), cryptography)
        if count < root.feedThreshold {
            throw LoopError(
                .tooFewSignatures,
                "feed: expected \(root.feedThreshold) valid signatures by certified keys, got \(count)")
        }
    }

    private func isSignedByValidKeys(_ root: Root, _ envelope: Envelope, _ moment: Date) throws {
        let valid = root.feedKeys.filter { moment < $0.value.expires }
        let count = envelope.signers(valid.mapValues(\.publicKey), cryptography)
        if count < root.feedThreshold {
            throw LoopError(
                .keyExpired,
                "feed: expected \(root.feedThreshold) valid signatures by keys valid at \(DocumentTime.text(moment)), got \(count)")
        }
    }

    /// Sequences are comparable only within an epoch.
    private func isOfTheEpoch<Document: Sequenced>(_ trusted: Trusted, _ document: Document) throws {
        if document.epoch != trusted.root.epoch {
            throw LoopError(.otherEpoch, "\(Document.kind): expected epoch \(trusted.root.epoch), got \(document.epoch)")
        }
    }

    private func isUnderAKnownRoot(_ trusted: Trusted, _ feed: LoopFeed) throws {
        if feed.root > trusted.root.version {
            throw LoopError(
                .rootWithheld, "feed: expected root \(trusted.root.version) or earlier, got root \(feed.root)")
        }
    }

    private func sequenceDoesNotFall<Document: Sequenced>(_ last: Int, _ document: Document) throws {
        if document.sequence < last {
            throw LoopError(
                .rolledBack, "\(Document.kind): expected sequence \(last) or later, got \(document.sequence)")
        }
    }

    private func isTheOneDocumentOfItsSequence<Document: Sequenced>(
        _ last: Int, _ known: String?, _ document: Document, _ digest: String
    ) throws {
        if document.sequence == last, digest != known {
            throw LoopError(
                .equivocated,
                "\(Document.kind) \(last): expected the document \((known ?? "none").prefix(12))…, got \(digest.prefix(12))…")
        }
    }

    /// So that an attacker cannot keep a device on an old document.
    private func hasNotExpired<Document: Sequenced>(_ document: Document, _ moment: Date) throws {
        if moment >= document.expires {
            throw LoopError(
                .expired,
                "\(Document.kind) \(document.sequence): expected a time before its expiry at "
                    + "\(DocumentTime.text(document.expires)), got \(DocumentTime.text(moment))")
        }
    }
}
