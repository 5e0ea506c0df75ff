import Foundation

/// The result of an upload.
public struct LoopUploaded: Sendable, Equatable {
    /// An upload that is on the server's disk now, and its number there.
    public struct Accepted: Sendable, Equatable {
        public let key: String
        public let id: Int?
    }

    /// An upload that the server refused for good; it is no longer in the outbox.
    public struct Refused: Sendable, Equatable {
        public let key: String
        /// For example `urn:digit-loop:bad-image`, or `status 413` where the answer has no type.
        public let type: String
        /// What was expected and what was found, for a log.
        public let detail: String
    }

    public internal(set) var accepted: [Accepted] = []
    public internal(set) var refused: [Refused] = []
    /// Keys of what was taken back on the server.
    public internal(set) var withdrawn: [String] = []
    /// If an erasure was due.
    public internal(set) var erased: LoopErased?
    /// How many still wait.
    public internal(set) var waiting = 0
    /// Why they wait, for a screen or a log: what the server answered, or that it did not.
    public internal(set) var why: String?
    /// When the server wants the next upload; earlier calls send nothing.
    public internal(set) var notBefore: Date?
}

/// What the server deleted: how many uploads, and the versions that may have learned from them.
public struct LoopErased: Sendable, Equatable, Decodable {
    public let uploads: Int
    public let considered: [Int]
}

/// A page of what this install has sent, newest first: what became of it (docs/api.md, "See, take back, take away").
public struct LoopHistory: Sendable, Equatable, Decodable {
    /// An upload as its source may see it.
    public struct Upload: Sendable, Equatable, Decodable {
        public let id: Int
        /// `accepted`, `noted`, `superseded` or `withdrawn`.
        public let status: String
        /// `correction`, `confirmation`, `asked`, `drawing`, `not-a-digit` or `unreadable`.
        public let kind: String
        /// As it was sent; nil for a drawing.
        public let label: Int?
        /// SHA-256 of the 784 stored pixels.
        public let digest: String
        public let predicted: Int?
        public let version: Int?
        /// The versions that were made while it counted: each may have been trained or tested on it.
        public let considered: [Int]
    }

    public let corrections: [Upload]
    /// The `before` of the next page; nil on the last one.
    public let next: Int?
}

/// How much goes into one batch; below the server's limits (docs/api.md).
public struct LoopBatchLimits: Sendable {
    public var corrections: Int
    public var bytes: Int

    public init(corrections: Int = 100, bytes: Int = 1 << 20) { (self.corrections, self.bytes) = (corrections, bytes) }
}
