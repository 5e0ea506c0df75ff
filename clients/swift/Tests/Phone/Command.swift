import DigitLoopCore
import Foundation

/// One line of input.
struct Command: Decodable {
    enum Name: String, Decodable {
        case phone, outbox, time, sync, read, consider, add, upload, undo, erase, history, export, die, steps
    }

    let `do`: Name
    // Where
    var folder: String?, site: URL?, api: URL?, helper: URL?, root: Data?, channel: String?, ios: [Int]?, key: String?
    var timeout: Double?, bytesPerSecond: Double?, batch: Int?
    // What
    var now: Double?, pixels: Data?, probabilities: [Double]?, kind: String?, label: Int?, predicted: Int?, confidence: Double?
    var version: Int?, rate: Double?, before: Int?, file: String?, at: Int?

    func needed<T>(_ name: KeyPath<Command, T?>) throws -> T {
        guard let value = self[keyPath: name] else { throw LoopError(.badField, "expected \(name), got none") }
        return value
    }

    /// What an `add` adds.
    func upload() throws -> LoopCorrection {
        let pixels = [UInt8](try needed(\.pixels)), key = try needed(\.key)
        let at = now.map(Date.init(timeIntervalSince1970:)) ?? Date()
        func answer() throws -> (Int, Double) { (try needed(\.predicted), try needed(\.confidence)) }
        switch kind {
        case "drawing":
            return try .drawing(
                pixels, probabilities: needed(\.probabilities), version: version, rate: needed(\.rate), at: at, key: key)
        case "confirmation":
            let (predicted, confidence) = try answer()
            return try .confirmation(
                pixels, predicted: predicted, confidence: confidence, version: version, rate: needed(\.rate), at: at, key: key)
        case "asked":
            let (predicted, confidence) = try answer()
            return try .asked(
                pixels, label: needed(\.label), predicted: predicted, confidence: confidence, version: version,
                rate: needed(\.rate), at: at, key: key)
        case "correction":
            let (predicted, confidence) = try answer()
            return try .correction(
                pixels, label: needed(\.label), predicted: predicted, confidence: confidence, version: version, at: at, key: key)
        case let kind:
            guard let reason = kind.flatMap(LoopCorrection.NoLabel.init) else {
                throw LoopError(.badField, "kind: expected one of an upload, got \(kind ?? "none")")
            }
            let (predicted, confidence) = try answer()
            return try .unlabelled(
                pixels, reason, predicted: predicted, confidence: confidence, version: version, at: at, key: key)
        }
    }
}

/// One line of output; what does not belong to the command is left out.
struct Answer: Encodable {
    // An error
    var refused: String?, detail: String?
    // A sync
    var installed: Bool?, why: String?, epoch: Int?, sequence: Int?, root: Int?, urgent: Bool?, current: Int?, previous: Int?
    var withdrawn: [String]?, askingWhy: String?, confirmRate: Double?, asking: Bool?
    // A reading and a decision
    var version: Int?, probabilities: [Double]?, digit: Int?, second: Int?, unsure: Bool?, send: Bool?, askNow: Bool?
    var rate: Double?, known: Bool?
    // An outbox
    var accepted: [String]?, ids: [Int?]?, rejected: [String: String]?, undone: [String]?, waiting: Int?, notBefore: Double?
    var erased: Int?, became: [String]?, next: Int?, exported: Int?
    // Steps
    var steps: Int?

    init() {}

    init(_ error: any Error) {
        refused = (error as? LoopError)?.rule.rawValue ?? "\(type(of: error))"
        detail = (error as? LoopError)?.detail ?? "\(error)"
    }

    init(_ synced: LoopSynced) {
        (installed, why, epoch, sequence) = (synced.installed, synced.why, synced.epoch, synced.sequence)
        (root, urgent, current, previous) = (synced.root, synced.urgent, synced.current?.version, synced.previous?.version)
        (withdrawn, askingWhy) = (synced.withdrawn, synced.askingWhy)
    }

    init(_ found: LoopConsidered) {
        (digit, second, unsure, send) = (found.best.digit, found.best.second, found.unsure, found.send)
        (askNow, rate, known) = (found.askNow, found.rate, found.known)
    }

    init(_ done: LoopUploaded) {
        (accepted, ids) = (done.accepted.map(\.key), done.accepted.map(\.id))
        rejected = Dictionary(done.refused.map { ($0.key, $0.type) }, uniquingKeysWith: { $1 })
        (undone, erased, waiting) = (done.withdrawn, done.erased?.uploads, done.waiting)
        (why, notBefore) = (done.why, done.notBefore?.timeIntervalSince1970)
    }

    init(_ page: LoopHistory) {
        became = page.corrections.map { "\($0.kind) \($0.label.map(String.init) ?? "none") \($0.status)" }
        next = page.next
    }
}
