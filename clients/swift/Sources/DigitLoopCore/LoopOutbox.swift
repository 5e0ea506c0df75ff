import Foundation

/// Uploads wait here, a file each, until the server answers that they are on its disk: through restarts, for weeks.
///
///     let outbox = try LoopOutbox(api: api, folder: folder, key: appKey, secrets: KeychainSecret(), services: services)
///     try await outbox.add(.correction(pixels, label: 7, predicted: 1, confidence: 0.6, version: 3))
///     try await outbox.upload()                       // at launch, and when there is a network
///
/// An upload leaves the outbox only by an answer to it alone (docs/api.md): accepted, or refused for good. A refusal of a
/// batch is never one of its uploads. Its idempotency key makes every retry harmless.
public actor LoopOutbox {
    private let folder: OutboxFolder
    private let server: UploadServer
    private let services: LoopServices
    private let batch: LoopBatchLimits
    private var running: Task<LoopUploaded, any Error>?
    /// The stamp of the last one added, so that two have different ones.
    private var last = 0

    /// - Parameters:
    ///   - api: The server, for example `https://api.example`.
    ///   - folder: A folder of this app that nothing else uses.
    ///   - key: The app's key, `loop_app_…`.
    ///   - secrets: This install's secret; its source on the server is a hash of it.
    public init(
        api: URL, folder: URL, key: String, secrets: any LoopSecretKeeping, services: LoopServices,
        batch: LoopBatchLimits = LoopBatchLimits()
    ) throws {
        self.folder = OutboxFolder(folder: folder, cryptography: services.cryptography)
        server = UploadServer(api: api, key: key, secrets: secrets, http: services.http, cryptography: services.cryptography)
        (self.services, self.batch) = (services, batch)
        try Disk.create(folder)
    }

    /// How many uploads wait.
    public var waiting: Int { folder.names().count }

    /// Keeps an upload. When this returns, it is on disk. Throws `diskFull`.
    public func add(_ correction: LoopCorrection) throws {
        last = try folder.add(correction, at: services.clock.now(), after: last)
    }

    /// Sends what waits, unless the server asked to wait. A call during an upload waits for that one and gets its result.
    ///
    /// - Throws: ``LoopError``: `unavailable` if an erasure is due and does not succeed, `noSecret`, `busy`, `diskFull`.
    ///   No answer to an upload is not an error: it stays.
    @discardableResult
    public func upload() async throws -> LoopUploaded {
        if let running { return try await running.value }
        let task = Task {
            defer { running = nil }  // here, not after `task.value`: a caller that waits for it must not find it again
            return try await uploadOnce()
        }
        running = task
        return try await task.value
    }

    /// Takes an upload back: what was never sent is dropped, anything else is withdrawn on the server by the next
    /// ``upload()`` that reaches it. Of those accepted, the last 200 can be taken back. Throws as ``upload()`` does.
    @discardableResult
    public func undo(_ key: String) async throws -> LoopUploaded {
        await settled()
        try folder.undo(key: key)
        return try await upload()
    }

    /// Deletes what waits here and everything that this install has sent; the next upload is of a new source.
    ///
    /// If the server cannot be reached this throws, and every later ``upload()`` erases before it sends anything.
    @discardableResult
    public func erase() async throws -> LoopErased {
        let until = max(last, folder.latest(services.clock.now()))
        try folder.remember(Promise(erases: until, notBefore: folder.promise().notBefore))
        try folder.empty(until: until)
        await settled()  // what is on its way now would arrive after the erasure
        return try await upload().erased ?? LoopErased(uploads: 0, considered: [])
    }

    /// What this install has sent and what became of it, newest first. `before`: ``LoopHistory/next`` of the page before.
    /// Throws `unavailable`, `noSecret`.
    public func history(before: Int? = nil) async throws -> LoopHistory {
        try await server.history(before: before, server.secrets.secret())
    }

    /// Writes a copy of everything that this install has sent to a file of JSON lines, images as PNG in base64; returns how
    /// many uploads it has. Throws `unavailable`, `truncated`, `noSecret`, `diskFull`; then the file is as before.
    @discardableResult
    public func export(to file: URL) async throws -> Int {
        try await server.export(to: file, server.secrets.secret())
    }

    /// Waits for an upload that runs now.
    private func settled() async {
        while let running { _ = await running.result }
    }

    private func uploadOnce() async throws -> LoopUploaded {
        let lock = try FolderLock(folder.folder)
        defer { withExtendedLifetime(lock) {} }
        var done = LoopUploaded()
        try await eraseIfDue(&done)
        folder.dropUnsent()
        if pause() == nil { try await sendAll(&done) }
        (done.waiting, done.notBefore) = (waiting, pause())
        return done
    }

    private func eraseIfDue(_ done: inout LoopUploaded) async throws {
        guard let until = folder.promise().erases else { return }
        try folder.empty(until: until)  // again: the app may have been killed before the first time ended
        done.erased = try await server.erase(server.secrets.secret())
        try server.secrets.forget()
        try folder.remember(Promise(erases: nil, notBefore: folder.promise().notBefore))
    }

    private func sendAll(_ done: inout LoopUploaded) async throws {
        let secret = try server.secrets.secret()
        while true {
            if folder.promise().erases != nil { return }
            let next = folder.first(batch)
            if next.isEmpty { break }
            try folder.trying(next)
            guard try await send(next, secret, &done) else { return }
        }
        for (key, mark, id) in folder.undone() {
            if let id {
                guard await server.withdraw(id, secret) else { return }
                done.withdrawn.append(key)
            }
            folder.forget(mark)
        }
    }

    /// Sends one upload alone, several as a batch. Returns false if the rest must wait.
    private func send(_ entries: [OutboxFolder.Entry], _ secret: String, _ done: inout LoopUploaded) async throws -> Bool {
        guard entries.count > 1 else {
            for entry in entries {
                let fate = await server.send(entry.body, key: entry.key, to: entry.list, secret)
                return try settle([(entry, fate)], &done)
            }
            return true
        }
        switch await server.send(batch: entries.map(\.body), to: entries[0].list, secret) {
        case .answers(let fates): return try settle(Array(zip(entries, fates)), &done)
        case .split:
            let half = entries.count / 2
            guard try await send(Array(entries[..<half]), secret, &done) else { return false }
            return try await send(Array(entries[half...]), secret, &done)
        case .later(let later):
            try wait(later, &done)
            return false
        }
    }

    /// Acts on the answer to each upload alone. Returns false if one stays.
    private func settle(_ answers: [(entry: OutboxFolder.Entry, fate: Fate)], _ done: inout LoopUploaded) throws -> Bool {
        var (settled, accepted, all) = ([OutboxFolder.Entry](), [OutboxFolder.Sent](), true)
        for (entry, fate) in answers {
            switch fate {
            case .accepted(let id):
                done.accepted.append(.init(key: entry.key, id: id))
                if let id { accepted.append(.init(stamp: entry.stamp, mark: entry.mark, id: id)) }
            case .refused(let type, let detail): done.refused.append(.init(key: entry.key, type: type, detail: detail))
            case .later(let later):
                try wait(later, &done)
                all = false
                continue
            }
            settled.append(entry)
        }
        try folder.settle(settled, accepted: accepted)
        return all
    }

    private func wait(_ later: Later, _ done: inout LoopUploaded) throws {
        done.why = later.why
        guard let seconds = later.seconds else { return }
        let until = services.clock.now().addingTimeInterval(Double(min(seconds, Promise.longestSeconds)))
        let promise = folder.promise()
        try folder.remember(Promise(erases: promise.erases, notBefore: max(promise.notBefore ?? until, until)))
    }

    /// The moment before which nothing may be sent, if it is still ahead. One that is further away than any wait was set by
    /// another clock.
    private func pause() -> Date? {
        guard let until = folder.promise().notBefore else { return nil }
        let left = until.timeIntervalSince(services.clock.now())
        return left > 0 && left <= Double(Promise.longestSeconds + 1) ? until : nil
    }
}
