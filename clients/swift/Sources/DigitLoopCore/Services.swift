import Foundation

/// SHA-256 and Ed25519. `DigitLoop.CryptoKitCryptography` on Apple's systems.
public protocol LoopCryptography: Sendable {
    /// The 32 bytes of the SHA-256.
    func sha256(_ data: Data) -> Data
    /// Whether `signature` (64 bytes) by `publicKey` (32 bytes) is an Ed25519 signature of `message`. A key that is not a
    /// point on the curve has no valid signature.
    func isValid(_ signature: Data, of message: Data, by publicKey: Data) -> Bool
}

extension LoopCryptography {
    /// The SHA-256 in 64 hex digits.
    func digest(_ data: Data) -> String { Hex.text(sha256(data)) }
}

/// A model that is loaded and can answer.
public protocol LoopModel: Sendable {
    /// The metadata that its author defined: `loop.family`, `loop.version` and others.
    var metadata: [String: String] { get }
    /// Ten probabilities for 784 bytes in rows, white ink (255) on black.
    func probabilities(_ pixels: [UInt8]) async throws -> [Double]
}

/// Loads `.mlmodel` files. `DigitLoop.CoreMLLoader` on Apple's systems.
public protocol LoopModelLoading: Sendable {
    /// Compiles and loads the model in `file`, off the main thread. Throws for a file that is not a classifier of ten digits.
    func load(_ file: URL) async throws -> any LoopModel
    /// Removes what it keeps (compiled models) of every other file name.
    func tidy(keeping names: Set<String>)
}

/// Keeps this install's secret: 32 random bytes in base64url. `DigitLoop.KeychainSecret`.
public protocol LoopSecretKeeping: Sendable {
    /// The secret, made at the first call.
    func secret() throws -> String
    /// Drops it: after an erasure the install is a new source. One that is not there is dropped already.
    func forget() throws
}

/// Tells the time, and waits.
public protocol LoopClock: Sendable {
    /// The time of day, which a user can change.
    func now() -> Date
    /// Seconds of a clock that nobody can change.
    func uptime() -> TimeInterval
}

/// The clock of this device.
public struct LoopSystemClock: LoopClock {
    public init() {}
    public func now() -> Date { Date() }
    public func uptime() -> TimeInterval { ProcessInfo.processInfo.systemUptime }
}

/// A request, in the few words that this package needs.
public struct LoopRequest: Sendable {
    public let method: String
    public let url: URL
    public var headers: [String: String]
    public var body: Data?

    public init(_ method: String, _ url: URL, headers: [String: String] = [:], body: Data? = nil) {
        (self.method, self.url, self.headers, self.body) = (method, url, headers, body)
    }
}

/// The head of an answer, and its body in pieces as they arrive.
public struct LoopResponse: Sendable {
    public let status: Int
    /// Names in lower case.
    public let headers: [String: String]
    public let body: AsyncThrowingStream<Data, any Error>

    public init(status: Int, headers: [String: String], body: AsyncThrowingStream<Data, any Error>) {
        self.status = status
        self.headers = Dictionary(headers.map { ($0.lowercased(), $1) }, uniquingKeysWith: { first, _ in first })
        self.body = body
    }
}

/// Sends requests. ``LoopURLSession`` is the one for apps.
public protocol LoopHTTP: Sendable {
    /// The answer, whatever its status. Follows no redirect. Throws if there is no answer; ends the transfer when nobody
    /// reads `body` any longer.
    func send(_ request: LoopRequest) async throws -> LoopResponse
}
