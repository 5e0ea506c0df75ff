import Foundation

/// The two best digits of a model's answer: "a `digit` or a `second`?"
public struct LoopTwoBest: Sendable, Equatable {
    public let digit: Int
    /// The probability of `digit`.
    public let share: Double
    public let second: Int
    public let secondShare: Double

    /// Probabilities of a phone are float16, or rounded.
    private static let sumTolerance = 1e-3

    /// Of equal probabilities the smaller digit is the better. Throws `badField` unless they are ten from 0 to 1 that sum to 1.
    public init(_ probabilities: [Double]) throws {
        let total = probabilities.reduce(0, +)
        guard probabilities.count == 10, probabilities.allSatisfy({ (0...1).contains($0) }),
            abs(total - 1) <= Self.sumTolerance
        else {
            throw LoopError(
                .badField,
                "probabilities: expected ten from 0 to 1 that sum to 1, got \(probabilities.count) with the sum \(total)")
        }
        let order = probabilities.indices.sorted { (probabilities[$1], $0) < (probabilities[$0], $1) }
        (digit, share) = (order[0], probabilities[order[0]])
        (second, secondShare) = (order[1], probabilities[order[1]])
    }
}

/// A drawing, what the model read, and what to do with it: ``LoopPhone/consider(_:probabilities:)``.
public struct LoopConsidered: Sendable, Equatable {
    public let best: LoopTwoBest
    /// Nil without a valid policy: then nothing is sent and nobody is asked.
    public let unsure: Bool?
    /// Send it with `rate`: ``LoopCorrection/drawing(_:probabilities:version:rate:at:key:)``.
    public let send: Bool
    /// Ask the user; true once for a drawing. Send the answer instead of the drawing:
    /// ``LoopCorrection/asked(_:label:predicted:confidence:version:rate:at:key:)``.
    public let askNow: Bool
    /// The chance with which it is sent.
    public let rate: Double
    /// The decision is an earlier one.
    public let known: Bool
}

/// What a device has decided, in `decided.json` (`loop/feed/client/asking.py`): no lot is drawn twice, no user asked twice.
struct Memory: Sendable, Equatable {
    struct Decided: Sendable, Equatable {
        /// SHA-256 of the 784 pixels.
        let digest: String
        let at: Date
        let send: Bool
        let asked: Bool
        let ratePPM: Int
    }

    /// Drawings; an app that shows an older one again decides about it again.
    private static let most = 1_000

    /// A day in UTC, and how many questions the user was asked on it.
    let day: String
    private(set) var asked = 0
    /// The oldest first.
    private(set) var decided: [Decided] = []

    func earlier(_ digest: String) -> Decided? { decided.first { $0.digest == digest } }

    mutating func remember(_ one: Decided) {
        asked += one.asked ? 1 : 0
        decided = (decided + [one]).suffix(Self.most)
    }
}

/// Decides about drawings of the device in a folder.
struct Considering: Sendable {
    let folder: DeviceFolder
    let cryptography: any LoopCryptography

    /// The decision is on disk before it is returned. `policy`: the valid one. Throws `badImage`, `badField`, `busy`,
    /// `stateUnreadable`, `diskFull`; then nothing was decided.
    func consider(
        _ pixels: [UInt8], _ probabilities: [Double], _ policy: LoopAskingPolicy?, now: Date, lot: () -> Int
    ) throws -> LoopConsidered {
        guard pixels.count == Picture.side * Picture.side else {
            throw LoopError(.badImage, "expected 784 pixels, got \(pixels.count)")
        }
        let best = try LoopTwoBest(probabilities)
        let lock = try FolderLock(folder.folder, name: ".deciding")
        defer { withExtendedLifetime(lock) {} }
        let digest = cryptography.digest(Data(pixels))
        var memory = try folder.memory(day: String(DocumentTime.text(now).prefix(10)))
        let unsure = policy?.isUnsure(best.share, best.secondShare)
        if let earlier = memory.earlier(digest) {
            let rate = Double(earlier.ratePPM) / Double(Limits.million)
            return LoopConsidered(
                best: best, unsure: unsure, send: earlier.send, askNow: false, rate: rate, known: true)
        }
        guard let policy else {
            return LoopConsidered(best: best, unsure: nil, send: false, askNow: false, rate: 0, known: false)
        }
        let found = policy.decide(best.share, best.secondShare, lot: lot(), askedToday: memory.asked)
        let chance = Int((found.rate * Double(Limits.million)).rounded())
        memory.remember(.init(digest: digest, at: now, send: found.send, asked: found.ask, ratePPM: chance))
        try folder.save(memory)
        return LoopConsidered(
            best: best, unsure: unsure, send: found.send, askNow: found.ask, rate: found.rate, known: false)
    }
}

extension DeviceFolder {
    private var decidedFile: URL { folder.appendingPathComponent("decided.json") }

    /// What the device remembers; questions are those of `day`. Throws `stateUnreadable`.
    func memory(day: String) throws -> Memory {
        guard FileManager.default.fileExists(atPath: decidedFile.path) else { return Memory(day: day) }
        do {
            return try Memory(Fields(Canonical.parse(Data(contentsOf: decidedFile))), day)
        } catch {
            throw LoopError(
                .stateUnreadable, "\(decidedFile.path): damaged (\(error)); remove it, and drawings are new again")
        }
    }

    /// Throws `diskFull`; then the old memory remains.
    func save(_ memory: Memory) throws { try Disk.replace(decidedFile, with: Data(memory.plain.encoded.utf8)) }
}

extension Memory {
    private static let format = 1

    fileprivate init(_ plain: Fields, _ today: String) throws {
        guard plain.values["format"] == .number(Self.format), case .array(let listed)? = plain.values["decided"] else {
            throw LoopError(.stateUnreadable, "expected format \(Self.format), got another")
        }
        let day = try plain.text("day", "a day") { $0.utf8.count == 10 }
        let asked = try plain.number("asked", 0...Canonical.maxInteger)
        self.init(day: today, asked: day == today ? asked : 0, decided: try listed.map(Decided.init))
    }

    fileprivate var plain: Canonical {
        .object([
            "asked": .number(asked), "day": .text(day), "decided": .array(decided.map(\.plain)), "format": .number(Self.format),
        ])
    }
}

extension Memory.Decided {
    fileprivate init(_ value: Canonical) throws {
        let plain = try Fields("decided", value)
        self.init(
            digest: try plain.digest("digest"), at: try plain.time("at"), send: try plain.flag("send"),
            asked: try plain.flag("asked"), ratePPM: try plain.share("rate_ppm"))
    }

    fileprivate var plain: Canonical {
        .object([
            "asked": .flag(asked), "at": .text(DocumentTime.text(at)), "digest": .text(digest), "rate_ppm": .number(ratePPM),
            "send": .flag(send),
        ])
    }
}
