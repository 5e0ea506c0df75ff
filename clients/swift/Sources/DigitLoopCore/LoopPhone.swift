import Foundation

/// What the app brings along: how to check, load, fetch and tell the time.
public struct LoopServices: Sendable {
    public var cryptography: any LoopCryptography
    public var models: any LoopModelLoading
    public var http: any LoopHTTP
    public var clock: any LoopClock
    public var timeouts: LoopTimeouts

    public init(
        cryptography: any LoopCryptography, models: any LoopModelLoading, http: any LoopHTTP = LoopURLSession(),
        clock: any LoopClock = LoopSystemClock(), timeouts: LoopTimeouts = LoopTimeouts()
    ) {
        (self.cryptography, self.models, self.http) = (cryptography, models, http)
        (self.clock, self.timeouts) = (clock, timeouts)
    }
}

/// The result of a sync. With `current` nil no installed model may run; the app uses its built-in one.
public struct LoopSynced: Sendable, Equatable {
    public let installed: Bool
    /// The reason, for a log.
    public let why: String
    public let epoch: Int
    public let sequence: Int
    public let root: Int
    public let expires: Date
    public let urgent: Bool
    public let current: LoopHeld?
    public let previous: LoopHeld?
    /// Digests that may not run any longer: if the app's built-in model is among them, do not use that either.
    public let withdrawn: [String]
    /// What became of the asking policy, for a log.
    public let askingWhy: String
}

/// A model in use, and which version it is.
public struct LoopLoaded: Sendable {
    public let held: LoopHeld
    public let model: any LoopModel
}

/// A device that follows a feed: newer roots, the feed, the model that it names (`loop/feed/client/syncing.py`).
///
///     let phone = try LoopPhone(site: site, folder: folder, root: rootInTheApp, services: .apple(folder: folder))
///     try await phone.sync()                          // at launch and daily; throws, and keeps what it has
///     let model = try await phone.model()             // nil: use the model in the app
///
/// Trusted state is on disk before it is used, so a killed app never trusts an older state than before. A withdrawn model is
/// dropped at once. The switch is one rename of one file. After any refusal the device keeps its model.
public actor LoopPhone {
    private let folder: DeviceFolder
    private let root: Data
    private let source: Source
    private let services: LoopServices
    private var state: State
    private var loaded: LoopLoaded?
    private var running: Task<LoopSynced, any Error>?
    private let ios: (major: Int, minor: Int)?

    /// Opens the device in `folder`, or makes a new one.
    ///
    /// - Parameters:
    ///   - site: The folder of `feed.json` on a server or CDN, for example `https://api.example/v1`.
    ///   - folder: A folder of this app that nothing else uses, for example below Application Support.
    ///   - root: The root document that is built into the app; a newer one in a later version of the app counts.
    ///   - channel: Family and format; always the same for one folder.
    ///   - ios: The version of the system, to skip models that need a newer one; nil accepts every model.
    /// - Throws: ``LoopError``: `stateUnreadable`, `noChannel`, `diskFull`, or a rule that the app's root breaks.
    public init(
        site: URL, folder: URL, root: Data, channel: String = "cnn.mlmodel",
        ios: (major: Int, minor: Int)? = LoopPhone.iosVersion, services: LoopServices
    ) throws {
        (self.folder, self.root) = (DeviceFolder(folder: folder), root)
        self.services = services
        self.ios = ios
        source = Source(site: site, http: services.http, clock: services.clock, timeouts: services.timeouts)
        state = try Self.opened(self.folder, root, channel, services.cryptography)
    }

    /// The version of iOS; nil on other systems, for which `minimum_ios` is not meant.
    public static var iosVersion: (major: Int, minor: Int)? {
        #if os(iOS)
            let version = ProcessInfo.processInfo.operatingSystemVersion
            return (version.majorVersion, version.minorVersion)
        #else
            return nil
        #endif
    }

    private static func opened(
        _ folder: DeviceFolder, _ root: Data, _ channel: String, _ cryptography: any LoopCryptography
    ) throws -> State {
        let trust = Trust(cryptography: cryptography)
        if let state = try folder.load(trust) {
            guard state.channel == channel else {
                throw LoopError(.noChannel, "expected channel \(state.channel), as at the first start; got \(channel)")
            }
            return state
        }
        let state = State(trusted: try trust.begin(root), device: UUID().uuidString.lowercased(), channel: channel)
        try folder.save(state)
        return state
    }

    /// The installed model's version, digest and golden digest.
    public var current: LoopHeld? { state.current }

    /// The probability with which to send a right answer as a confirmation; nil before the first trusted feed, and where the
    /// feed asks for none. Send `rate` with it: ``LoopCorrection/confirmation(_:predicted:confidence:version:rate:at:key:)``.
    public var confirmRate: Double? {
        state.confirmPPM.flatMap { $0 > 0 ? Double($0) / Double(Limits.million) : nil }
    }

    /// The asking policy that is valid now. Nil: send no drawing that nobody corrected, and ask nothing.
    public var asking: LoopAskingPolicy? {
        state.asking.flatMap { services.clock.now() < $0.expires ? $0.policy : nil }
    }

    /// Decides about a drawing that nobody corrected: send it or not, ask the user or not. The decision is on disk before it is
    /// returned, and is the same when the drawing is considered again.
    ///
    ///     let found = try await phone.consider(pixels, probabilities: probabilities)
    ///     if found.askNow { … "a \(found.best.digit) or a \(found.best.second)?" … }
    ///
    /// - Throws: ``LoopError``: `badImage`, `badField` for probabilities that are none, `busy`, `stateUnreadable`, `diskFull`.
    public func consider(_ pixels: [UInt8], probabilities: [Double]) throws -> LoopConsidered {
        try consider(pixels, probabilities) { Int.random(in: 0..<Limits.million) }
    }

    func consider(_ pixels: [UInt8], _ probabilities: [Double], lot: () -> Int) throws -> LoopConsidered {
        try Considering(folder: folder, cryptography: services.cryptography)
            .consider(pixels, probabilities, asking, now: services.clock.now(), lot: lot)
    }

    /// The installed model, loaded; nil if none may run. The first call loads it and answers one picture, so that the user's
    /// first drawing does not wait. Throws `doesNotLoad`.
    public func model() async throws -> LoopLoaded? {
        guard let held = state.current else { return nil }
        if let loaded, loaded.held == held { return loaded }
        let fresh = LoopLoaded(held: held, model: try await load(folder.model(held.digest)))
        _ = try? await fresh.model.probabilities([UInt8](repeating: 0, count: Picture.side * Picture.side))
        if state.current == held { loaded = fresh }
        return fresh
    }

    /// Checks for a newer model once. A call during a sync waits for that sync and gets its result.
    ///
    /// - Throws: ``LoopError``, which names the broken rule; the device keeps what it trusts and runs.
    @discardableResult
    public func sync() async throws -> LoopSynced {
        if let running { return try await running.value }
        let task = Task {
            defer { running = nil }  // here, not after `task.value`: a caller that waits for it must not find it again
            return try await syncOnce()
        }
        running = task
        return try await task.value
    }

    private func syncOnce() async throws -> LoopSynced {
        let lock = try FolderLock(folder.folder)
        defer { withExtendedLifetime(lock) {} }
        let trust = Trust(cryptography: services.cryptography)
        // Another process of the app may have synced since: its state counts, not the one in memory.
        if let saved = try folder.load(trust) { state = saved }
        try save(trusting(trust.builtIn(state.trusted, root)))
        return try await follow(trust)
    }

    private func follow(_ trust: Trust) async throws -> LoopSynced {
        try await followRoots(trust)
        guard let data = try await source.read(Layout.feed, most: Limits.document) else {
            throw LoopError(.unavailable, "\(Layout.feed): the server has no such file")
        }
        let now = services.clock.now()
        let (trusted, feed) = try trust.accept(state.trusted, data, now: now)
        let before = state.current
        try save(withoutWithdrawn(trusted, feed))
        let choice = try trust.choose(
            feed, channel: state.channel, device: state.device, ios: ios, holds: state.current?.digest)
        if choice.installs { try await install(choice.release) }
        let askingWhy = try await ask(trust, now)  // last: no policy ever keeps a model away
        folder.tidy(state)
        services.models.tidy(keeping: Set([state.current, state.previous].compactMap { $0.map { "\($0.digest).mlmodel" } }))
        let dropped = before.map { feed.withdrawn.contains($0.digest) ? "version \($0.version) was withdrawn; " : "" } ?? ""
        return LoopSynced(
            installed: choice.installs, why: dropped + choice.why, epoch: feed.epoch, sequence: feed.sequence,
            root: state.trusted.root.version, expires: feed.expires, urgent: choice.release.urgent, current: state.current,
            previous: state.previous, withdrawn: feed.withdrawn, askingWhy: askingWhy)
    }

    /// Reads the asking policy. A refused one leaves the last one in place until that expires.
    private func ask(_ trust: Trust, _ now: Date) async throws -> String {
        do {
            guard let data = try await source.read(Layout.asking, most: Limits.document) else {
                return "the server publishes no asking policy"
            }
            let (seen, asking) = try trust.acceptAsking(state.trusted, state.asking?.seen, data, now: now)
            var next = state
            next.asking = HeldAsking(seen: seen, expires: asking.expires, policy: asking.policy)
            try save(next)
            return "the policy is valid"
        } catch let error as LoopError where error.rule != .diskFull {
            return "refused: \(error)"
        }
    }

    private func followRoots(_ trust: Trust) async throws {
        for _ in 0..<Limits.roots {
            let path = Layout.root(state.trusted.root.version + 1)
            guard let data = try await source.read(path, most: Limits.document) else { return }
            try save(trusting(trust.follow(state.trusted, data)))
        }
    }

    /// A policy of another epoch may be a thief's, so it is forgotten like the sequences.
    private func trusting(_ trusted: Trusted) -> State {
        var next = state
        next.trusted = trusted
        if trusted.root.epoch != state.trusted.root.epoch { next.asking = nil }
        return next
    }

    /// Replaces a withdrawn or damaged model by the previous one, or by none.
    private func withoutWithdrawn(_ trusted: Trusted, _ feed: LoopFeed) -> State {
        let usable = [state.current, state.previous].compactMap { $0 }.filter {
            !feed.withdrawn.contains($0.digest) && folder.isSound($0, services.cryptography)
        }
        var next = state
        (next.trusted, next.confirmPPM) = (trusted, feed.confirmPPM)
        (next.current, next.previous) = (usable.first, usable.dropFirst().first)
        return next
    }

    /// Downloads missing files, checks them and switches. A file gets its place by a rename, after every check.
    private func install(_ release: LoopRelease) async throws {
        let held = LoopHeld(version: release.version, digest: release.digest, goldenDigest: release.goldenDigest)
        let places = (model: folder.model(held.digest), golden: folder.golden(held.goldenDigest))
        let partials = (model: folder.partial(held.digest), golden: folder.partial(held.goldenDigest))
        let model = try await fetch(Layout.model(held.digest), held.digest, release.length, places.model, partials.model)
        let golden = try await fetch(
            Layout.golden(held.goldenDigest), held.goldenDigest, release.goldenLength, places.golden, partials.golden)
        let fresh: any LoopModel
        do {
            fresh = try await checked(release, model, golden)
        } catch {
            [partials.model, partials.golden].forEach(Disk.remove)
            throw error
        }
        if golden == partials.golden { try Disk.rename(golden, to: places.golden) }
        if model == partials.model { try Disk.rename(model, to: places.model) }
        var next = state
        if state.current != held { next.previous = state.current }
        next.current = held
        try save(next)
        loaded = LoopLoaded(held: held, model: fresh)
    }

    private func checked(_ release: LoopRelease, _ model: URL, _ golden: URL) async throws -> any LoopModel {
        let test = SelfTest(channel: state.channel, release: release, cryptography: services.cryptography)
        let (modelData, goldenData) = (try read(model), try read(golden))
        try test.check(model: modelData, golden: goldenData)
        let fresh = try await load(model)
        try await test.check(fresh, golden: goldenData)
        return fresh
    }

    /// Where the file's bytes are: the installed file if there is one, as after a rollback, else a download.
    private func fetch(_ path: String, _ digest: String, _ length: Int, _ place: URL, _ partial: URL) async throws -> URL {
        if let data = try? Data(contentsOf: place), services.cryptography.digest(data) == digest { return place }
        try await source.download(path, length: length, to: partial)
        return partial
    }

    private func read(_ url: URL) throws -> Data {
        do { return try Data(contentsOf: url) } catch {
            throw LoopError(.stateUnreadable, "\(url.path): cannot read what was just written (\(error))")
        }
    }

    private func load(_ file: URL) async throws -> any LoopModel {
        do { return try await services.models.load(file) } catch {
            throw LoopError(.doesNotLoad, "model: it does not load (\(error))")
        }
    }

    private func save(_ next: State) throws {
        if next != state { try folder.save(next) }
        state = next
        if state.current != loaded?.held { loaded = nil }
    }
}
