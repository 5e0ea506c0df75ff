import Foundation

/// Limits of the feed (`loop/feed/document.py`), in bytes where not said otherwise.
enum Limits {
    static let format = 1
    static let document = 64 << 10
    static let model = 256 << 20
    static let golden = 1 << 20
    static let channels = 16
    static let withdrawn = 256
    static let keys = 16
    /// Roots that one sync follows; the next sync continues.
    static let roots = 64
    /// Questions to a user, and names in `critical`, of an asking policy.
    static let askedADay = 100
    static let critical = 16
    /// Shares in documents are in a million.
    static let million = 1_000_000
}

/// One model for one channel.
public struct LoopRelease: Sendable, Equatable {
    public let version: Int
    /// SHA-256 of the `.mlmodel` and of its golden vectors, in hex; lengths in bytes.
    public let digest: String
    public let length: Int
    public let goldenDigest: String
    public let goldenLength: Int
    /// For example `15.0`.
    public let minimumIOS: String
    /// The share of devices that install it, 0 to 100.
    public let rolloutPercent: Int
    public let urgent: Bool
}

/// What devices run, from `issued` until `expires`.
public struct LoopFeed: Sendable, Equatable {
    public let epoch: Int
    public let sequence: Int
    /// The version of the root that certifies the feed.
    public let root: Int
    public let issued: Date
    public let expires: Date
    /// The probability, in a million, with which a device confirms a right answer.
    public let confirmPPM: Int
    /// Family and format (`cnn.mlmodel`) to release.
    public let channels: [String: LoopRelease]
    /// Digests that no device may run any longer.
    public let withdrawn: [String]
}

/// Which keys may sign; ids are the SHA-256 of the 32 bytes of the public key, both in hex.
struct Root: Sendable, Equatable {
    struct FeedKey: Sendable, Equatable {
        let publicKey: String
        let expires: Date
    }

    let version: Int
    let epoch: Int
    let issued: Date
    let rootKeys: [String: String]
    let rootThreshold: Int
    let feedKeys: [String: FeedKey]
    let feedThreshold: Int
}

extension LoopFeed {
    /// The feed in signed bytes. Throws `notCanonical`, `unknownFormat`, `badDocument`.
    static func parse(_ data: Data) throws -> LoopFeed {
        let plain = try Fields.open(data, type: "feed")
        try plain.exactly(
            "channels", "confirm_ppm", "epoch", "expires", "format", "issued", "root", "sequence", "type", "withdrawn")
        let channels = try plain.object("channels", most: Limits.channels, key: isChannel)
        let feed = LoopFeed(
            epoch: try plain.number("epoch", 1...Canonical.maxInteger),
            sequence: try plain.number("sequence", 1...Canonical.maxInteger),
            root: try plain.number("root", 1...Canonical.maxInteger),
            issued: try plain.time("issued"),
            expires: try plain.time("expires"),
            confirmPPM: try plain.number("confirm_ppm", 0...Limits.million),
            channels: try channels.values.mapValues(LoopRelease.parse),
            withdrawn: try plain.digests("withdrawn", most: Limits.withdrawn))
        guard feed.expires > feed.issued else { throw bad("expires", "a time after issued") }
        for (name, release) in feed.channels where feed.withdrawn.contains(release.digest) {
            throw bad(name, "a model that is not withdrawn")
        }
        return feed
    }

    /// A lower-case word of at most 20 letters and digits, and `.mlmodel`.
    private static func isChannel(_ name: String) -> Bool {
        guard name.hasSuffix(".mlmodel") else { return false }
        let family = Array(name.utf8.dropLast(8)), letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        return (1...20).contains(family.count) && letters.contains(family[0])
            && family.allSatisfy { letters.contains($0) || (48...57).contains($0) }
    }
}

extension LoopRelease {
    static func parse(_ value: Canonical) throws -> LoopRelease {
        let plain = try Fields("channel", value)
        try plain.exactly("digest", "golden", "length", "minimum_ios", "rollout_percent", "urgent", "version")
        let golden = try plain.object("golden", most: 2)
        try golden.exactly("digest", "length")
        let urgent = try plain.flag("urgent")
        let release = LoopRelease(
            version: try plain.number("version", 1...Canonical.maxInteger),
            digest: try plain.digest("digest"),
            length: try plain.number("length", 1...Limits.model),
            goldenDigest: try golden.digest("digest"),
            goldenLength: try golden.number("length", 1...Limits.golden),
            minimumIOS: try plain.text("minimum_ios", "a version like 15.0") { iosVersion($0) != nil },
            rolloutPercent: try plain.number("rollout_percent", 0...100),
            urgent: urgent)
        guard !urgent || release.rolloutPercent == 100 else { throw bad("rollout_percent", "100 for an urgent release") }
        return release
    }

    /// `"15.0"` as two numbers of at most two digits without leading zeros.
    static func iosVersion(_ text: String) -> (major: Int, minor: Int)? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let numbers = parts.compactMap(Int.init).filter { (0...99).contains($0) }
        guard parts.count == 2, numbers.map(String.init) == parts else { return nil }
        return (numbers[0], numbers[1])
    }
}

extension Root {
    /// The root in signed bytes. Throws the errors of a feed, and `keyMismatch`.
    static func parse(_ data: Data, _ cryptography: any LoopCryptography) throws -> Root {
        let plain = try Fields.open(data, type: "root")
        try plain.exactly("epoch", "feed", "format", "issued", "root", "type", "version")
        let (roots, feeds) = (try role(plain, "root"), try role(plain, "feed"))
        let version = try plain.number("version", 1...Canonical.maxInteger)
        let epoch = try plain.number("epoch", 1...Canonical.maxInteger)
        let issued = try plain.time("issued")
        let rootKeys = try roots.keys.values.mapInOrder { id, _ in try publicKey(id, roots.keys, id, cryptography) }
        let rootThreshold = try roots.fields.threshold(of: rootKeys.count)
        let feedKeys = try feeds.keys.values.mapInOrder { id, value in
            let plain = try Fields("key", value)
            try plain.exactly("expires", "public")
            return FeedKey(publicKey: try publicKey(id, plain, "public", cryptography), expires: try plain.time("expires"))
        }
        return Root(
            version: version, epoch: epoch, issued: issued, rootKeys: rootKeys, rootThreshold: rootThreshold,
            feedKeys: feedKeys, feedThreshold: try feeds.fields.threshold(of: feedKeys.count))
    }

    private static func role(_ plain: Fields, _ name: String) throws -> (fields: Fields, keys: Fields) {
        let fields = try plain.object(name, most: 2)
        try fields.exactly("keys", "threshold")
        return (fields, try fields.object("keys", most: Limits.keys) { Hex.isText($0, count: 64) })
    }

    private static func publicKey(
        _ id: String, _ plain: Fields, _ field: String, _ cryptography: any LoopCryptography
    ) throws -> String {
        let key = try plain.digest(field)
        guard cryptography.digest(Hex.bytes(key)) == id else {
            throw LoopError(.keyMismatch, "key \(id.prefix(12))…: expected the id of its public key, got another")
        }
        return key
    }
}

extension Dictionary where Key == String {
    /// The values mapped in the order of the keys, so that the first error is always the same.
    fileprivate func mapInOrder<T>(_ map: (Key, Value) throws -> T) rethrows -> [Key: T] {
        var mapped = [Key: T]()
        for key in keys.sorted() { mapped[key] = try self[key].map { try map(key, $0) } }
        return mapped
    }
}
