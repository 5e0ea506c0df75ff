import Foundation

/// The result of an upload.
public struct LoopUploaded: Sendable, Equatable {
    /// A correction that the server refused for good; it is no longer in the outbox.
    public struct Refused: Sendable, Equatable {
        public let key: String
        /// For example `urn:digit-loop:bad-image`, or `status 413` where the answer has no type.
        public let type: String
    }

    /// How many are on the server's disk now.
    public internal(set) var accepted = 0
    public internal(set) var refused: [Refused] = []
    /// How many still wait.
    public internal(set) var waiting = 0
    /// When the server wants the next upload; earlier calls send nothing.
    public internal(set) var notBefore: Date?
}

/// Corrections wait here, a file each, until the server answers that they are on its disk: through restarts, for weeks.
///
///     let outbox = try LoopOutbox(api: api, folder: folder, key: appKey, secrets: KeychainSecret(), services: services)
///     try await outbox.add(.correction(pixels, label: 7, predicted: 1, confidence: 0.6, version: 3))
///     try await outbox.upload()                       // at launch, and when there is a network
///
/// A correction leaves the outbox only by an answer to it alone (docs/api.md): accepted, or refused for good. A refusal of a
/// batch is never one of a correction. Its idempotency key makes every retry harmless.
public actor LoopOutbox {
    private let folder: OutboxFolder
    private let server: UploadServer
    private let services: LoopServices
    private let batch: LoopBatchLimits
    private var running: Task<LoopUploaded, any Error>?

    /// - Parameters:
    ///   - api: The server, for example `https://api.example`.
    ///   - folder: A folder of this app that nothing else uses.
    ///   - key: The app's key, `loop_app_…`.
    ///   - secrets: This install's secret; its source on the server is a hash of it.
    public init(
        api: URL, folder: URL, key: String, secrets: any LoopSecretKeeping, services: LoopServices,
        batch: LoopBatchLimits = LoopBatchLimits()
    ) throws {
        self.folder = OutboxFolder(folder: folder)
        server = UploadServer(api: api, key: key, secrets: secrets, http: services.http, cryptography: services.cryptography)
        (self.services, self.batch) = (services, batch)
        try Disk.create(folder)
    }

    /// How many corrections wait.
    public var waiting: Int { folder.entries().count }

    /// Keeps a correction. When this returns, it is on disk. Throws `diskFull`.
    public func add(_ correction: LoopCorrection) throws {
        try folder.add(correction, at: services.clock.now())
    }

    /// Sends what waits, unless the server asked to wait. A call during an upload waits for that one and gets its result.
    ///
    /// - Throws: ``LoopError``: `unavailable` if an erasure is due and does not succeed, `noSecret`, `busy`, `diskFull`.
    ///   No answer to a correction is not an error: it stays.
    @discardableResult
    public func upload() async throws -> LoopUploaded {
        if let running { return try await running.value }
        let task = Task { try await uploadOnce() }
        running = task
        defer { running = nil }
        return try await task.value
    }

    /// Deletes what waits here and everything that this install has sent.
    ///
    /// If the server cannot be reached this throws, and every later ``upload()`` erases before it sends anything.
    public func erase() async throws {
        try folder.remember(Promise(erases: true, notBefore: folder.promise().notBefore))
        folder.entries().forEach(folder.remove)
        while let running { _ = await running.result }  // what is on its way now would arrive after the erasure
        try await upload()
    }

    private func uploadOnce() async throws -> LoopUploaded {
        let lock = try FolderLock(folder.folder)
        defer { withExtendedLifetime(lock) {} }
        let secret = try server.secrets.secret()
        if folder.promise().erases { try await eraseNow(secret) }
        var done = LoopUploaded()
        if let notBefore = pause() {
            (done.waiting, done.notBefore) = (waiting, notBefore)
            return done
        }
        while !folder.promise().erases {
            let next = folder.first(batch)
            guard !next.isEmpty, try await send(next, secret, &done) else { break }
        }
        (done.waiting, done.notBefore) = (waiting, pause())
        return done
    }

    private func eraseNow(_ secret: String) async throws {
        try await server.erase(secret)
        try folder.remember(Promise(erases: false, notBefore: folder.promise().notBefore))
    }

    /// Sends one correction alone, several as a batch. Returns false if the rest must wait.
    private func send(_ entries: [OutboxFolder.Entry], _ secret: String, _ done: inout LoopUploaded) async throws -> Bool {
        guard entries.count > 1 else { return try await sendAlone(entries, secret, &done) }
        switch await server.send(batch: entries.map(\.body), secret) {
        case .answers(let answers) where answers.count == entries.count:
            let settled = try zip(entries, answers).map { try settle($0, $1, &done) }
            return !settled.contains(false)
        case .split:
            let half = entries.count / 2
            guard try await send(Array(entries[..<half]), secret, &done) else { return false }
            return try await send(Array(entries[half...]), secret, &done)
        case .answers: return false  // an answer that does not fit is none
        case .later(let seconds):
            try wait(seconds)
            return false
        }
    }

    private func sendAlone(_ entries: [OutboxFolder.Entry], _ secret: String, _ done: inout LoopUploaded) async throws -> Bool {
        for entry in entries where try await !settle(entry, server.send(entry.body, key: entry.key, secret), &done) {
            return false
        }
        return true
    }

    /// Acts on the answer to one correction alone. Returns false if it stays.
    private func settle(_ entry: OutboxFolder.Entry, _ fate: Fate, _ done: inout LoopUploaded) throws -> Bool {
        switch fate {
        case .accepted: done.accepted += 1
        case .refused(let type): done.refused.append(.init(key: entry.key, type: type))
        case .later(let seconds):
            try wait(seconds)
            return false
        }
        folder.remove(entry)
        return true
    }

    private func wait(_ seconds: Int?) throws {
        guard let seconds else { return }
        let until = services.clock.now().addingTimeInterval(Double(min(seconds, Promise.longestSeconds)))
        let promise = folder.promise()
        try folder.remember(Promise(erases: promise.erases, notBefore: max(promise.notBefore ?? until, until)))
    }

    /// The moment before which nothing may be sent, if it is still ahead. One that is further away than any wait was set by
    /// another clock.
    private func pause() -> Date? {
        guard let until = folder.promise().notBefore else { return nil }
        let left = until.timeIntervalSince(services.clock.now())
        return left > 0 && left <= Double(Promise.longestSeconds) ? until : nil
    }
}

/// How much goes into one batch; below the server's limits (docs/api.md).
public struct LoopBatchLimits: Sendable {
    public var corrections: Int
    public var bytes: Int

    public init(corrections: Int = 100, bytes: Int = 1 << 20) { (self.corrections, self.bytes) = (corrections, bytes) }
}
